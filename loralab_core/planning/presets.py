"""Presets: named starting points, each a handful of settings, from catalog/presets.toml."""

import tomllib
from importlib import resources
from typing import Any

import msgspec

from loralab_core.errors import BadInput


class Preset(msgspec.Struct, frozen=True):
    name: str
    about: str
    settings: dict[str, Any]  # by the field names of TrainConfig


def list_presets() -> list[Preset]:
    """In the order of the file: the quickest first."""
    text = resources.files("loralab_core.catalog").joinpath("presets.toml").read_text(encoding="utf-8")
    tables = tomllib.loads(text).items()
    return [Preset(name, table.pop("about"), table) for name, table in tables]


def find_preset(name: str) -> Preset:
    """BadInput with the names there are."""
    presets = {preset.name: preset for preset in list_presets()}
    if name not in presets:
        raise BadInput(f"no preset is called {name!r}; there are {', '.join(presets)}")
    return presets[name]
