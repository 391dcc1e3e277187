"""The people of Pebblewick and its places."""

from random import Random

from recipes.pocket.forms import answer, question, talk
from recipes.pocket.grammar import a, asked, capital, listed, one
from recipes.pocket.world import PEOPLE, PLACES, Person, table

Turns = list[tuple[str, str]]

_FIELDS = ("role", "does", "works", "home", "pet_name", "likes", "food", "colour", "nature", "extra", "deed")


def _words(person: Person) -> dict[str, str]:
    words = {field: str(getattr(person, field)) for field in _FIELDS}
    who = {"n": person.name, "she": person.she, "She": capital(person.she), "her": person.her, "obj": person.obj}
    return {**words, **who, "kind": person.pet, "pet": a(person.pet)}


def _with_pronoun(asks: str, person: Person) -> str:
    """The same question about somebody who was named before."""
    for name, instead in (
        ("{n}'s", person.her),
        ("Does {n}", "Does {she}"),
        ("of {n}", "of {obj}"),
        ("like {n}", "like {obj}"),
        ("find {n}", "find {obj}"),
        ("describe {n}", "describe {obj}"),
        ("{n}", "{she}"),
    ):
        asks = asks.replace(name, instead)
    return asks


def _fact(rng: Random, person: Person, aspect: str, pronoun: bool = False) -> tuple[str, str]:
    words, row = _words(person), table("forms")["person"][aspect]
    questions = [_with_pronoun(asks, person) for asks in row["questions"]] if pronoun else row["questions"]
    return asked(rng, *questions, **words), one(rng, *row["answers"], **words)


def person_talk(rng: Random) -> Turns:
    """One person, and perhaps more about the same one."""
    person = rng.choice(PEOPLE)
    aspects = rng.sample(list(table("forms")["person"]), 4)
    known = rng.random() < 0.5
    turns = [talk(rng, "village.portrait", **_words(person)) if known else _fact(rng, person, aspects[0])]
    while rng.random() < 0.4 and len(turns) < 4:
        turns.append(_fact(rng, person, aspects[len(turns)], pronoun=rng.random() < 0.75))
    return turns


def who_does(rng: Random) -> Turns:
    person = rng.choice(PEOPLE)
    words = _words(person)
    if rng.random() < 0.25:
        return [talk(rng, "village.pet", **words)]
    if not person.role.startswith("the "):
        return [talk(rng, "village.who", **words)]
    return [talk(rng, "village.who_role", title=person.role.split(" of ")[0], **words)]


def is_it(rng: Random) -> Turns:
    """Yes or no, about people."""
    person, other = rng.sample(PEOPLE, 2)
    words, wrong = _words(person), _words(other)
    yes = rng.random() < 0.5
    kind = rng.choice(["role", "pet", "food", "home"])
    true, false = words[kind], wrong[kind]
    yes = yes or true == false
    form = "village.is_" + kind
    fact = answer(rng, form, **words, x=true)
    asks = question(rng, form, **words, x=true if yes else false)
    if kind == "food" and not yes:
        return [(asks, f"I do not know, but I know that {person.name} loves {true}.")]
    return [(asks, ("Yes, " if yes else "No, ") + fact)]


def _people(rng: Random) -> Turns:
    names = listed([person.name for person in rng.sample(PEOPLE, 4)])
    asks, says = talk(rng, "village.people", names=names)
    return [(asks, says + one(rng, *table("village")["people_more"]["answers"]))]


def place_talk(rng: Random) -> Turns:
    place = rng.choice(PLACES)
    if rng.random() < 0.15:
        first, *facts = table("pages")["pebblewick"]
        asks = question(rng, "village.pebblewick")
        return [(asks, " ".join([first, *rng.sample(facts, 2)]))]
    if rng.random() < 0.12:
        return _people(rng)
    words = {field: str(getattr(place, field)) for field in ("where", "see", "do", "extra")}
    kind = rng.choice(["all", "all", "where", "see", "do"])
    return [talk(rng, "village.place_" + kind, p=place.name, P=capital(place.name), **words)]
