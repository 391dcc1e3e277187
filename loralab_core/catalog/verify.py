"""The catalogue compared with the Hub, entry by entry."""

from collections.abc import Callable
from dataclasses import asdict
from typing import Any

import msgspec

from loralab_core.catalog.download import fetch
from loralab_core.catalog.hub import read_config_json, weight_files
from loralab_core.catalog.hub_errors import explained
from loralab_core.catalog.models import CatalogModel, Figures
from loralab_core.catalog.reference import HubReference
from loralab_core.catalog.repository import Repository, look_up, refuse_unusable
from loralab_core.errors import LoraLabError

ReadConfig = Callable[[dict[str, Any], str], Figures]  # of a parsed config.json and its place; BadInput
SINCE = ("bytes", "adapter_parameters", "cache_numbers", "vocabulary_parameters")  # may still be lacking in an entry


class Found(msgspec.Struct):
    """What the Hub says; `differences` are sentences, none where the entry is right."""

    id: str
    bytes: int | None = None
    licence: str | None = None
    parameters: int | None = None
    context: int | None = None
    adapter_parameters: int | None = None
    cache_numbers: int | None = None
    vocabulary_parameters: int | None = None
    gated: bool | None = None
    differences: list[str] = []


def check_entry(model: CatalogModel, read: ReadConfig) -> Found:
    """Look the entry up. A gated model whose licence this user has not accepted is only looked at from outside."""
    found, reference = Found(model.id), HubReference(model.id)
    try:
        with explained(reference):
            repository = look_up(reference)
            refuse_unusable(repository)
            found.licence, found.gated = repository.licence, repository.gated
            found.bytes = sum(file.size for file in repository.likely_weights())
            _read_files(repository, found, read)
    except LoraLabError as error:
        found.differences = [str(error)]
    else:
        found.differences = [*_differences(model, found)]
    return found


def _read_files(repository: Repository, found: Found, read: ReadConfig) -> None:
    small = [file for file in repository.small_files() if file.name.endswith((".index.json", "config.json"))]
    snapshot = fetch(repository, small, lambda done, total, what: None)
    found.bytes = sum(file.size for file in weight_files(repository, snapshot))
    raw = read_config_json(snapshot / "config.json")
    for name, value in asdict(read(raw, f"{repository.id}/config.json")).items():
        setattr(found, name, value)


def _differences(model: CatalogModel, found: Found) -> list[str]:
    pairs = {name: (getattr(model, name), getattr(found, name)) for name in ("parameters", "context", "gated")}
    pairs |= {"licence": (model.licence.lower(), (found.licence or "none").lower())}
    pairs |= {name: (getattr(model, name), getattr(found, name)) for name in SINCE}
    return [
        f"{name} is {there}, not written down yet" if ours is None else f"{name} is {there}, not {ours}"
        for name, (ours, there) in pairs.items()
        if ours != there
    ]
