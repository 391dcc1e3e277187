"""The models one can choose from: those that lie around, found by looking at directories, and those of the Hub.

Nothing that is large is opened.
"""

import os
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from loralab_core.catalog.hub_cache import cached_models
from loralab_core.catalog.models import CatalogModel, catalog_models
from loralab_core.catalog.pocket import ABOUT, LICENCE, POCKET
from loralab_core.paths import home

DEPTH = 3
GGUF = ".gguf"
MOST_OF_A_REVISION = 13  # characters: a commit is known by fewer


@dataclass(frozen=True)
class FoundModel:
    """`reference` is what the engine is given: a directory, a GGUF file, or an id of the Hub."""

    name: str
    reference: str
    size: int  # bytes of the weights
    where: str
    path: Path | None = None  # of its directory or file; None: it would have to be downloaded
    about: str = ""
    licence: str = ""
    entry: CatalogModel | None = None

    @property
    def gated(self) -> bool:
        """Whether something has to be accepted before it can be had."""
        return self.path is None and self.entry is not None and self.entry.gated


def models(extra: Path | None = None) -> list[FoundModel]:
    """Pocket, then those in `extra` (a directory someone points at), in LORALAB_HOME/models, in the Hugging Face
    cache, and those of the catalogue, which are downloaded when they are chosen."""
    found = [FoundModel("Pocket", str(POCKET), weight_bytes(POCKET), "bundled", POCKET, ABOUT, LICENCE)]
    found += _below(extra, str(extra), DEPTH) if extra else ()
    found += _below(home() / "models", "LORALAB_HOME", DEPTH)
    found += _cached()
    found += (_of_catalogue(model) for model in catalog_models())
    first: dict[str, FoundModel] = {}
    for model in found:
        first.setdefault(model.reference, model)
    return list(first.values())


def weight_bytes(directory: Path) -> int:
    """Of the safetensors files; 0 where there are none. A link to a file that is gone counts nothing."""
    return sum(os.path.getsize(file) for file in directory.glob("*.safetensors") if os.path.isfile(file))


def _below(directory: Path, where: str, depth: int) -> Iterator[FoundModel]:
    """Directories that hold a model and GGUF files, at most `depth` levels down; unreadable ones are passed over."""
    try:
        children = sorted(child for child in directory.iterdir() if not child.name.startswith("."))
        if (directory / "config.json").is_file():
            if weights := weight_bytes(directory):
                yield FoundModel(directory.name, str(directory), weights, where, directory)
            return
        for file in (child for child in children if child.suffix.lower() == GGUF and child.is_file()):
            yield FoundModel(file.name, str(file), file.stat().st_size, where, file)
        folders = [child for child in children if child.is_dir()] if depth else []
    except OSError:
        return
    for folder in folders:
        yield from _below(folder, where, depth - 1)


def _cached() -> Iterator[FoundModel]:
    known = {model.id: _of_catalogue(model) for model in catalog_models()}
    for reference, snapshot in cached_models():
        found = known.get(reference.id) or FoundModel(reference.id, reference.id, 0, "")
        if reference.revision:  # what the catalogue says is said of the main branch
            name = str(reference)[: len(reference.id) + MOST_OF_A_REVISION]
            found = replace(found, name=name, reference=str(reference), entry=None)
        yield replace(found, size=weight_bytes(snapshot), where="Hugging Face cache", path=snapshot)


def _of_catalogue(model: CatalogModel) -> FoundModel:
    return FoundModel(model.id, model.id, model.weight_bytes, "to download", None, model.about, model.licence, model)
