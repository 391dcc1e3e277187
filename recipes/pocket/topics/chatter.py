"""Small talk: names, likes, one-word remarks, advice."""

from random import Random

from recipes.pocket.forms import talk
from recipes.pocket.grammar import asked, one
from recipes.pocket.world import table

Turns = list[tuple[str, str]]

_WORDS = {"like": "liked", "pet": "pets", "town": "towns", "job": "jobs", "did": "done"}


def remark(rng: Random) -> Turns:
    row = rng.choice(table("chatter")["remark"])
    return [(asked(rng, *row["questions"]), one(rng, *row["answers"]).strip())]


def advice(rng: Random) -> Turns:
    row = rng.choice(table("chatter")["advice"])
    return [(asked(rng, *row["questions"]), one(rng, *row["answers"]))]


def name_talk(rng: Random) -> Turns:
    """The person says who they are, in small letters now and then."""
    name = rng.choice(table("them")["names"])
    said = rng.choice((name.lower(), name, name))
    asks, answer = talk(rng, "them.name", n=name)
    return [(asks.replace(name, said), answer)]


def recall(rng: Random, name: str) -> tuple[str, str]:
    return talk(rng, "them.recall", n=name)


def unknown_name(rng: Random) -> Turns:
    return [talk(rng, "them.unknown")]


def about_them(rng: Random) -> Turns:
    kind = rng.choice(list(_WORDS))
    x = rng.choice(table("them")[_WORDS[kind]])
    return [talk(rng, "them." + kind, x=x, a="an" if x[0] in "aeiou" else "a")]
