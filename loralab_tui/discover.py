"""Models and corpora that lie around, found by looking at directories; nothing is opened that is large."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from loralab_core.catalog.hub import hub_id
from loralab_core.catalog.models import catalog_models
from loralab_core.errors import BadInput
from loralab_core.paths import home
from loralab_core.text.corpus_files import expand, total_bytes
from loralab_core.text.formats import format_of
from loralab_tui import words
from loralab_tui.studio import Corpus

DEPTH = 3


@dataclass(frozen=True)
class FoundModel:
    """`reference` is what the engine is given: a directory, or an id for a cached download."""

    name: str
    reference: str
    size: int
    where: str


def models(extra: Path | None = None) -> list[FoundModel]:
    """In `extra` (a directory someone points at), in LORALAB_HOME/models, in the Hugging Face cache, and the checked
    models of the Hub, which are downloaded when they are chosen."""
    found = list(_below(extra, str(extra), DEPTH)) if extra else []
    found += _below(home() / "models", "LORALAB_HOME", DEPTH)
    found += _cached()
    found += (FoundModel(model.id, model.id, model.bytes, "to download") for model in catalog_models())
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
    """Bytes of the safetensors files; 0 where there are none."""
    return sum(file.stat().st_size for file in directory.glob("*.safetensors"))


def hub_cache() -> Path:
    """Where huggingface_hub keeps downloads, by the same variables."""
    if cache := os.environ.get("HF_HUB_CACHE"):
        return Path(cache).expanduser()
    base = os.environ.get("HF_HOME") or os.path.join(os.environ.get("XDG_CACHE_HOME") or "~/.cache", "huggingface")
    return Path(base).expanduser() / "hub"


def _cached() -> Iterator[FoundModel]:
    try:
        snapshots = sorted(hub_cache().glob("models--*/snapshots/*/config.json"))
    except OSError:
        return
    for config in snapshots:
        name = config.parents[2].name.removeprefix("models--").replace("--", "/")
        if weights := _weights(config.parent):
            yield FoundModel(name, name, weights, "Hugging Face cache")


def is_model_directory(text: str) -> bool:
    return (Path(text).expanduser() / "config.json").is_file()


def check_model(text: str) -> str:
    """The reference to give the engine. BadInput for a path that holds no model; an id is the engine's to check."""
    path = Path(text).expanduser()
    if path.is_dir():
        if not is_model_directory(text):
            raise BadInput(f"{path} holds no model: a model directory has a config.json and .safetensors files")
        return str(path.resolve())
    if path.is_file() and path.name in ("config.json", "model.safetensors"):
        return str(path.parent.resolve())
    identifier = None if text.startswith((".", "/", "~")) else hub_id(text)
    if identifier is None:
        raise BadInput(f"{text} is neither a directory here nor an id like owner/name")
    return identifier


def look_at(text: str) -> Corpus:
    """A corpus by its path, folder or glob, with what was found. BadInput names what does not fit. Reads little."""
    place = os.path.abspath(os.path.expanduser(text))
    files = expand([place])
    kinds = list(dict.fromkeys(format_of(file).words for file in files[:50]))
    many = f" in {len(files)} files" if len(files) > 1 else ""
    return Corpus(place, f"{', '.join(kinds)}{many}, {words.size(total_bytes(files))}")


def keep_pasted(text: str, name: str) -> Path:
    """Write pasted text below LORALAB_HOME and return its place. BadInput when there is none; OSError from the disk."""
    if not text.strip():
        raise BadInput("there is no text yet; paste some first")
    folder = home() / "corpora"
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}.txt"
    path.write_text(text if text.endswith("\n") else text + "\n", encoding="utf-8")
    return path
