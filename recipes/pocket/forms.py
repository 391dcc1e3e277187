"""A question with its answer, both from a table."""

from random import Random

from recipes.pocket.grammar import asked, one
from recipes.pocket.world import table


def question(rng: Random, name: str, **words: object) -> str:
    """`name` is "table.form"; the form's questions, as somebody may type them."""
    file, _, form = name.partition(".")
    return asked(rng, *table(file)[form]["questions"], **words).strip()


def answer(rng: Random, name: str, **words: object) -> str:
    file, _, form = name.partition(".")
    return one(rng, *table(file)[form]["answers"], **words).replace("  ", " ").strip()


def talk(rng: Random, name: str, **words: object) -> tuple[str, str]:
    asks = question(rng, name, **words)
    return asks, answer(rng, name, **words)
