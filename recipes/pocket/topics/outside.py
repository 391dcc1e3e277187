"""Questions from outside the small world, and the honest answer."""

from random import Random

from recipes.pocket.grammar import asked, one
from recipes.pocket.world import table

Turns = list[tuple[str, str]]

_LETTERS = "abcdefghijklmnopqrstuvwxyz"


def outside(rng: Random) -> Turns:
    words = table("outside")
    template = rng.choice(words["questions"])
    named = {kind: rng.choice(words[kind]) for kind in ("land", "famous", "field", "task")}
    numbers = {"n": rng.randint(11, 99), "m": rng.randint(3, 99), "big": rng.randint(100, 9999)}
    numbers |= {"big2": rng.randint(21, 999), "year": rng.randint(1000, 2030)}
    asks = asked(rng, template, **named, **numbers)
    a_sum = "{n}" in template or "{big}" in template
    refusal = "refuse_task" if "{task}" in template else "refuse_sum" if a_sum else "refuse"
    says = one(rng, *words[refusal])
    topic = rng.choice(words["topics"])
    return [(asks, f"{says} {one(rng, *words['hints'], topic=topic)}")]


def nonsense(rng: Random) -> Turns:
    words = table("outside")
    if rng.random() < 0.5:
        count = rng.choice([1, 1, 2, 3])
        said = " ".join("".join(rng.choice(_LETTERS) for _ in range(rng.randint(2, 8))) for _ in range(count))
    else:
        said = rng.choice(words["noise"])
    return [(said, one(rng, *words["not_understood"]))]
