"""Animals: what they are, what they can do, which is bigger."""

from random import Random

from recipes.pocket.forms import answer, question
from recipes.pocket.grammar import a, asked, capital, one
from recipes.pocket.world import ANIMALS, Animal, table

Turns = list[tuple[str, str]]

_PLURALS = {"sheep": "sheep", "fish": "fish", "mouse": "mice", "fox": "foxes", "butterfly": "butterflies"}
_LEGS = {0: "no", 2: "two", 4: "four", 6: "six", 8: "eight", 10: "ten"}
_ALSO_SWIM = ("dog", "frog", "bear", "gull", "crab", "pig", "horse", "cow")


def _words(animal: Animal) -> dict[str, str]:
    name = animal.name
    many = _PLURALS.get(name, name + "s")
    said = {"x": name, "ax": a(name), "Ax": capital(a(name)), "xs": many, "Xs": capital(many)}
    facts = {field: str(getattr(animal, field)) for field in ("sound", "home", "eats", "moves", "colour", "fact")}
    return {**said, **facts, "legs": _LEGS[animal.legs], "young": a(animal.young)}


def animal_talk(rng: Random) -> Turns:
    """One animal, and perhaps more about the same one."""
    animal = rng.choice(ANIMALS)
    words, forms = _words(animal), table("forms")["animal"]
    kinds = rng.sample(list(forms), 3)
    first = "all" if rng.random() < 0.35 else kinds[0]
    turns = [(asked(rng, *forms[first]["questions"], **words), one(rng, *forms[first]["answers"], **words))]
    for kind in kinds[1:]:
        if kind in ("like", first) or rng.random() > 0.3:
            break
        says = animal.fact if kind == "all" else one(rng, *forms[kind]["answers"], **words)
        turns.append((asked(rng, table("compare")["follow"][kind]), says))
    return turns


def can_it(rng: Random) -> Turns:
    animal = rng.choice(ANIMALS)
    verb = rng.choice(["fly", "swim"])
    words = {**_words(animal), "verb": verb}
    can = animal.flies if verb == "fly" else animal.swims or animal.name in _ALSO_SWIM
    asks = question(rng, "compare.can", **words)
    but = "" if animal.moves in ("walk", verb) else f", but it can {animal.moves}"
    return [(asks, answer(rng, "compare.can" if can else "compare.cannot", but=but, **words))]


def bigger(rng: Random) -> Turns:
    first, second = rng.sample(ANIMALS, 2)
    word, best = ("smaller", min) if rng.random() < 0.3 else ("bigger", max)
    winner = best(first, second, key=lambda animal: animal.size)
    loser = second if winner is first else first
    fact = f"{a(winner.name)} is {word} than {a(loser.name)}."
    words = {"x": a(first.name), "y": a(second.name), "word": word}
    if rng.random() < 0.3:
        return [(question(rng, "compare.is", **words), ("Yes, " if winner is first else "No, ") + fact)]
    return [(question(rng, "compare.which", **words), capital(fact))]
