"""Models and corpora that lie around, found by looking at directories; nothing is opened that is large."""

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path

from loralab_core.catalog.hub_cache import cached_models
from loralab_core.catalog.models import catalog_models
from loralab_core.catalog.pocket import NAME, POCKET
from loralab_core.catalog.reference import hub_reference
from loralab_core.errors import BadInput, explain_os_error
from loralab_core.paths import expand_user, home
from loralab_core.text.corpus_files import expand, total_bytes
from loralab_core.text.formats import format_of
from loralab_tui import words
from loralab_tui.studio import Corpus

DEPTH = 3
MOST = 100_000  # files and folders of a corpus; above it somebody has named a whole disk


@dataclass(frozen=True)
class FoundModel:
    """`reference` is what the engine is given: a directory, or an id for a cached download."""

    name: str
    reference: str
    size: int
    where: str


def models(extra: Path | None = None) -> list[FoundModel]:
    """Pocket, then those in `extra` (a directory someone points at), in LORALAB_HOME/models, in the Hugging Face
    cache, and the checked models of the Hub, which are downloaded when they are chosen."""
    found = [FoundModel("Pocket", str(POCKET), _weights(POCKET), "bundled")]
    found += _below(extra, str(extra), DEPTH) if extra else ()
    found += _below(home() / "models", "LORALAB_HOME", DEPTH)
    found += _cached()
    found += (FoundModel(model.id, model.id, model.weight_bytes, "to download") for model in catalog_models())
    return list({model.reference: model for model in reversed(found)}.values())[::-1]


def _below(directory: Path, where: str, depth: int) -> Iterator[FoundModel]:
    """Directories that hold a model, at most `depth` levels down; unreadable ones are passed over."""
    try:
        if (directory / "config.json").is_file():
            if weights := _weights(directory):
                yield FoundModel(directory.name, str(directory), weights, where)
            return
        children = sorted(child for child in directory.iterdir() if child.is_dir()) if depth else []
    except OSError:
        return
    for child in children:
        if not child.name.startswith("."):
            yield from _below(child, where, depth - 1)


def _weights(directory: Path) -> int:
    """Bytes of the safetensors files; 0 where there are none. A link to a file that is gone counts nothing."""
    return sum(os.path.getsize(file) for file in directory.glob("*.safetensors") if os.path.isfile(file))


def _cached() -> Iterator[FoundModel]:
    for name, snapshot in cached_models():
        yield FoundModel(name, name, _weights(snapshot), "Hugging Face cache")


def here() -> Path:
    """Where one is, or at home when that directory was removed."""
    try:
        return Path.cwd()
    except OSError:
        return Path.home()


def is_model_directory(text: str) -> bool:
    """Anything may be typed: pathlib raises for the home of nobody and for names that are too long, os.path never."""
    return os.path.isfile(os.path.join(os.path.expanduser(text), "config.json"))


def is_model_file(path: str) -> bool:
    return path.lower().endswith(".gguf") and os.path.isfile(path)


def check_model(text: str) -> str:
    """The reference to give the engine. BadInput for a path that holds no model; an id is the engine's to check."""
    path = str(expand_user(text))
    if os.path.isdir(path):
        if not is_model_directory(text):
            raise BadInput(f"{path} holds no model: a model directory has a config.json and .safetensors files")
        return os.path.realpath(path)
    if is_model_file(path):
        return os.path.abspath(path)
    if os.path.isfile(path) and os.path.basename(path) in ("config.json", "model.safetensors"):
        return os.path.realpath(os.path.dirname(path))
    if text.strip().lower() == NAME:
        return str(POCKET)
    reference = None if text.startswith((".", "/", "~")) else hub_reference(text)
    if reference is None:
        raise BadInput(f"{text} is neither a directory or .gguf file here nor an id like owner/name")
    return str(reference)


def look_at(*places: str) -> Corpus:
    """A corpus by its paths, folders or globs, with what was found. BadInput names what does not fit. Reads little."""
    try:
        return _corpus_at([os.path.abspath(expand_user(place)) for place in places])
    except OSError as error:
        raise BadInput(explain_os_error(error, f"look at {words.shorten(', '.join(places), 60)}")) from error


def holds_more_than(most: int, folder: str) -> bool:
    """Whether there are more files and folders below it. Stops counting there; nothing else than a folder holds any."""
    counted = accumulate(len(folders) + len(files) for _, folders, files in os.walk(folder))
    return any(count > most for count in counted)


def _corpus_at(places: Sequence[str]) -> Corpus:
    if large := next((place for place in places if holds_more_than(MOST, place)), None):
        raise BadInput(f"{large} holds more than {MOST:,} files; name the folder the text lies in")
    files = expand(places)
    formats = [format_of(file) for file in files[:50]]
    kinds = list(dict.fromkeys(each.words for each in formats))
    many = f" in {len(files)} files" if len(files) > 1 else ""
    is_chat = formats[0].kind not in ("document", "text")
    note = f"{', '.join(kinds)}{many}, {words.size(total_bytes(files))}"
    return Corpus(places[0], note, is_chat, tuple(places[1:]))


def keep_pasted(text: str, name: str) -> Path:
    """Write pasted text below LORALAB_HOME and return its place. BadInput when there is none; OSError from the disk."""
    if not text.strip():
        raise BadInput("there is no text yet; paste some first")
    folder = home() / "corpora"
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}.txt"
    path.write_text(text if text.endswith("\n") else text + "\n", encoding="utf-8")
    return path
