"""The models this version was checked with, from models.toml."""

import tomllib
from importlib import resources

import msgspec


class CatalogModel(msgspec.Struct, frozen=True):
    id: str  # on the Hub
    parameters: int
    bytes: int  # of the weights
    licence: str
    context: int  # tokens
    about: str


def catalog_models() -> list[CatalogModel]:
    """Smallest first."""
    text = resources.files("loralab_core.catalog").joinpath("models.toml").read_text(encoding="utf-8")
    return msgspec.convert(tomllib.loads(text)["model"], list[CatalogModel])
