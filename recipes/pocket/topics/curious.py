"""Things newcomers ask that belong to no other subject, each with its own answers."""

from random import Random

from recipes.pocket.grammar import asked, one
from recipes.pocket.world import PEOPLE, table

Turns = list[tuple[str, str]]


def curious(rng: Random) -> Turns:
    if rng.random() < 0.08:
        person = rng.choice(PEOPLE)
        if person.name in ("Pim", "June"):
            return [
                (asked(rng, f"How old is {person.name}?"), f"{person.name} is {person.role.split()[-1]} years old.")
            ]
        return [
            (
                asked(rng, f"How old is {person.name}?", f"What is the age of {person.name}?"),
                f"I do not know how old {person.name} is. It is not polite to ask.",
            )
        ]
    row = rng.choice(table("curious")["curious"])
    return [(asked(rng, *row["questions"]), one(rng, *row["answers"]).strip())]
