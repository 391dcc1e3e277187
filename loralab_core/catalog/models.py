"""The models people pick, from models.toml."""

import tomllib
from importlib import resources

import msgspec


class CatalogModel(msgspec.Struct, frozen=True):
    id: str  # on the Hub
    parameters: int
    licence: str  # as its card calls it
    context: int  # tokens
    about: str
    bytes: int | None = None  # of the weights; None: not looked up yet
    gated: bool = False  # its licence has to be accepted on the Hub first
    verified: bool = False  # `loralab models verify` found all of this on the Hub

    @property
    def weight_bytes(self) -> int:
        """Two a parameter, as all of these store them, until they are looked up."""
        return self.bytes or 2 * self.parameters


def catalog_models() -> list[CatalogModel]:
    """Smallest first."""
    text = resources.files("loralab_core.catalog").joinpath("models.toml").read_text(encoding="utf-8")
    return msgspec.convert(tomllib.loads(text)["model"], list[CatalogModel])
