"""What can be known of a model without its weights: from the Hub where it answers, from the disk otherwise."""

import os
from dataclasses import dataclass, field
from pathlib import Path

from loralab_core.catalog.download import fetch
from loralab_core.catalog.hub import resolve_model, weight_files
from loralab_core.catalog.hub_cache import INDEX, SINGLE, CachedRepository, cached_model, is_whole, shard_names
from loralab_core.catalog.hub_errors import explained
from loralab_core.catalog.pocket import NAME
from loralab_core.catalog.reference import HubReference, hub_reference
from loralab_core.catalog.repository import PATIENCE_S, SHORT_PATIENCE_S, Repository, look_up, refuse_unusable

LOOKED_AT = ("config.json", "tokenizer_config.json", "chat_template.jinja", "chat_template.json", INDEX)


@dataclass(frozen=True)
class Inspection:
    """`directory` holds at least config.json. Of a directory only its files are known."""

    directory: Path
    weight_bytes: int
    repository: Repository | None = None
    download: dict[str, int] = field(default_factory=dict)  # file → bytes that would have to come
    on_disk: bool = False


def inspect(text: str) -> Inspection:
    """`text` as `resolve_model` takes it. Raises as that does; downloads kilobytes at most."""
    local = text == NAME or text.startswith("~") or os.path.isdir(text)
    reference = None if local else hub_reference(text)
    return _on_disk(resolve_model(text)) if reference is None else _on_hub(reference)


def _on_hub(reference: HubReference) -> Inspection:
    with explained(reference):
        cached = cached_model(reference)
        try:
            repository = look_up(reference, SHORT_PATIENCE_S if cached else PATIENCE_S)
        except Exception:
            if cached is None:
                raise
            return _on_disk(cached)
        refuse_unusable(repository)
        glance = [file for file in repository.small_files() if file.name in LOOKED_AT]
        snapshot = fetch(repository, glance, lambda done, total, what: None)
    weights, cache = weight_files(repository, snapshot), CachedRepository(repository.id)
    wanted = [*repository.small_files(), *weights]
    lacking = {file.name: file.size for file in wanted if not (cache.snapshot(repository.commit) / file.name).is_file()}
    return Inspection(snapshot, sum(file.size for file in weights), repository, lacking, not lacking)


def _on_disk(directory: Path) -> Inspection:
    return Inspection(directory, sum(_size(file) for file in _weights(directory)), on_disk=is_whole(directory))


def _weights(directory: Path) -> list[Path]:
    if (directory / SINGLE).is_file():
        return [directory / SINGLE]
    try:
        return [directory / name for name in shard_names(directory / INDEX)]
    except (OSError, ValueError):
        return []


def _size(file: Path) -> int:
    return file.stat().st_size if file.is_file() else 0
