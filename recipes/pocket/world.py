"""The village of Pebblewick and what is in it, read from tables/. A fact is the same in every text."""

import csv
import tomllib
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

import msgspec

TABLES = Path(__file__).with_name("tables")
Row = TypeVar("Row")


class Person(msgspec.Struct, frozen=True):
    """A verb's object where a name says "follows": `does` follows "she", `home` follows "lives"."""

    name: str
    she: str  # she or he
    role: str  # "the baker"
    does: str
    works: str
    home: str
    pet: str
    pet_name: str
    likes: str
    food: str
    colour: str
    nature: str
    extra: str  # a whole sentence
    deed: str  # what one asks "Who …?" for

    @property
    def her(self) -> str:
        return "her" if self.she == "she" else "his"

    @property
    def obj(self) -> str:
        return "her" if self.she == "she" else "him"


class Place(msgspec.Struct, frozen=True):
    name: str  # with its article
    where: str
    see: str
    do: str
    extra: str


class Animal(msgspec.Struct, frozen=True):
    name: str
    sound: str  # follows the animal: "purrs and says meow"
    home: str
    eats: str
    legs: int
    moves: str  # the verb it is known for
    young: str
    colour: str
    size: int  # for comparisons only
    fact: str

    @property
    def flies(self) -> bool:
        return self.moves == "fly"

    @property
    def swims(self) -> bool:
        return self.moves == "swim"


class Food(msgspec.Struct, frozen=True):
    name: str
    verb: str  # is or are
    kind: str
    taste: str
    colour: str
    made: str  # a whole sentence


def _rows(name: str, kind: type[Row]) -> tuple[Row, ...]:
    with open(TABLES / f"{name}.csv", encoding="utf-8", newline="") as file:
        return tuple(msgspec.convert(list(csv.DictReader(file, delimiter=";")), list[kind], strict=False))  # type: ignore[valid-type]


@cache
def table(name: str) -> dict[str, Any]:
    """The content of tables/NAME.toml."""
    return tomllib.loads((TABLES / f"{name}.toml").read_text(encoding="utf-8"))


PEOPLE = _rows("people", Person)
PLACES = _rows("places", Place)
ANIMALS = _rows("animals", Animal)
FOODS = _rows("foods", Food)
