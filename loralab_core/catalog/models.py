"""The models people pick, from models.toml."""

import tomllib
from dataclasses import dataclass
from importlib import resources


@dataclass(frozen=True)
class Figures:
    """Counts of a model from which its memory follows; what is not known counts nothing, so sums are "at least"."""

    parameters: int
    context: int  # tokens
    adapter_parameters: int | None = None  # of a LoRA of rank 8 on every projection
    cache_numbers: int | None = None  # in the keys and values of 2,048 tokens
    vocabulary_parameters: int | None = None  # of the embedding, and of the head where it is another


@dataclass(frozen=True)
class CatalogModel:
    id: str  # on the Hub
    parameters: int
    licence: str  # as its card calls it
    context: int  # tokens
    about: str
    bytes: int | None = None  # of the weights; None: not looked up yet
    adapter_parameters: int | None = None  # as in Figures
    cache_numbers: int | None = None
    vocabulary_parameters: int | None = None
    gated: bool = False  # its licence has to be accepted on the Hub first
    verified: bool = False  # `loralab models verify` found all of this on the Hub

    @property
    def weight_bytes(self) -> int:
        """Two a parameter, as all of these store them, until they are looked up."""
        return self.bytes or 2 * self.parameters

    @property
    def figures(self) -> Figures:
        apart = self.adapter_parameters, self.cache_numbers, self.vocabulary_parameters
        return Figures(self.parameters, self.context, *apart)


def catalog_models() -> list[CatalogModel]:
    """Smallest first."""
    import msgspec

    text = resources.files("loralab_core.catalog").joinpath("models.toml").read_text(encoding="utf-8")
    return msgspec.convert(tomllib.loads(text)["model"], list[CatalogModel])
