"""Files dropped on the terminal arrive as pasted text: which paths those are, and what they are good for."""

import os
import re
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal
from urllib.parse import unquote, urlsplit

from loralab_core.errors import BadInput
from loralab_core.paths import expand_user
from loralab_core.text.corpus_files import READABLE
from loralab_tui.data import discover

LONGEST = 4096
WINDOWS = re.compile(r"""["']?([A-Za-z]):\\([^"'\n]*)["']?""")

Kind = Literal["adapter", "model", "corpus"]


@dataclass(frozen=True)
class Dropped:
    kind: Kind
    path: str


def paths_in(text: str) -> list[str]:
    """The paths, if the text is nothing else: quoted, with escapes, or as file:// addresses; otherwise none."""
    text = text.strip()
    if not text or len(text) > LONGEST:
        return []
    if windows := WINDOWS.fullmatch(text):  # as Windows says it; where WSL has it
        return [f"/mnt/{windows[1].lower()}/" + windows[2].replace("\\", "/")]
    if text.startswith("/") and "\n" not in text and os.path.exists(text):  # spaces that nobody escaped
        return [text]
    try:
        words = [_as_path(word) for word in shlex.split(text)]
    except ValueError:
        return []
    return words if words and all(_is_path(word) for word in words) else []


def _as_path(word: str) -> str:
    if word.startswith("file:"):
        return unquote(urlsplit(word).path)
    return word


def _is_path(word: str) -> bool:
    """`/train` is a command, `/data` a path: what has one part must exist."""
    if word.startswith("~/"):
        return len(word) > 2
    return word.startswith("/") and (word.rstrip("/").count("/") > 1 or os.path.exists(word))


def exist(paths: Sequence[str]) -> bool:
    return all(os.path.exists(os.path.expanduser(path)) for path in paths)


def recognise(paths: Sequence[str]) -> Dropped | None:
    """What existing paths are to the studio; None for what it has no use for. Looks at files: not on the event loop.

    BadInput for several corpora at once.
    """
    places = [expand_user(path).absolute() for path in paths]
    if len(places) > 1:
        if all(place.suffix.lower() in READABLE for place in places):
            raise BadInput("one file or one folder can be the corpus; drop the folder that holds them")
        return None
    return _recognise_one(places[0])


def _recognise_one(place: Path) -> Dropped | None:
    home = place if place.is_dir() else place.parent
    if (home / "adapter_config.json").is_file() and (place.is_dir() or place.suffix in (".json", ".safetensors")):
        return Dropped("adapter", str(home))
    if place.is_dir() and discover.is_model_directory(str(place)):
        return Dropped("model", str(place))
    if discover.is_model_file(str(place)):
        return Dropped("model", str(place))
    if place.name in ("config.json", "model.safetensors") and (home / "config.json").is_file():
        return Dropped("model", str(home))
    if not place.is_dir() and place.suffix.lower() not in READABLE:
        return None
    try:
        discover.look_at(str(place))
    except BadInput:
        return None
    return Dropped("corpus", str(place))
