"""What a user names as a model or a corpus, looked at where it lies; nothing is opened that is large."""

import os
from collections.abc import Sequence
from itertools import accumulate
from pathlib import Path

from loralab_core.catalog.pocket import NAME, POCKET
from loralab_core.catalog.reference import hub_reference
from loralab_core.errors import BadInput, explain_os_error
from loralab_core.paths import expand_user, home
from loralab_core.text.corpus_files import expand, total_bytes
from loralab_core.text.formats import format_of
from loralab_tui import words
from loralab_tui.studio import Corpus

MOST = 100_000  # files and folders of a corpus; above it somebody has named a whole disk


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
    reference = hub_id(text)
    if reference is None:
        raise BadInput(f"{text} is neither a directory or .gguf file here nor an id like owner/name")
    return reference


def hub_id(text: str) -> str | None:
    """The model of the Hub that `text` names by its id or address. BadInput as `hub_reference`."""
    reference = None if _is_path(text) else hub_reference(text)
    return str(reference) if reference else None


def names_a_model(text: str) -> bool:
    """Whether `text` is a path, an id, an address or Pocket, which `check_model` judges; else it is words to search."""
    try:
        return _is_path(text) or os.path.exists(text) or text.strip().lower() == NAME or hub_id(text) is not None
    except BadInput:
        return True


def search_words(text: str) -> list[str]:
    """What a model in a list has to hold for `text` to mean it; nothing for a path, which is looked through."""
    try:
        return [] if _is_path(text) else (hub_id(text) or text).lower().split()
    except BadInput:  # a token: what is wrong is said, and nothing is searched for
        return []


def _is_path(text: str) -> bool:
    return text.startswith((".", "/", "~"))


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
