"""Plain text that stands alone: stories, and pages as from a book about the village."""

from random import Random

from recipes.pocket.grammar import a, capital, one
from recipes.pocket.topics.stories import story
from recipes.pocket.world import ANIMALS, PEOPLE, PLACES, table


def person_page(rng: Random) -> str:
    person = rng.choice(PEOPLE)
    words = {
        "n": person.name,
        "She": capital(person.she),
        "does": person.does,
        "nature": person.nature,
        "pet": a(person.pet),
        "pet_name": person.pet_name,
        "colour": person.colour,
        "extra": person.extra,
        "likes": person.likes,
        "food": person.food,
    }
    leads, bits = table("pages")["person_leads"], table("pages")["person"]
    place = {"home": person.home, "role": person.role, "Role": capital(person.role)}
    lead = one(rng, *leads, n=person.name, **place)
    return " ".join([lead, *(one(rng, bit, **words) for bit in rng.sample(bits, rng.randint(3, 5)))])


def village_page(rng: Random) -> str:
    pages = table("pages")
    lead = one(rng, *pages["village_leads"])
    return " ".join([lead, *(one(rng, bit) for bit in rng.sample(pages["village"], rng.randint(3, 6)))])


def thing_page(rng: Random) -> str:
    kind = rng.random()
    if kind < 0.5:
        things = table("nature")["things"]
        facts = things[rng.choice(list(things))]
        return " ".join([facts[0], *rng.sample(facts[1:], len(facts) - 1)])
    if kind < 0.7:
        animal = rng.choice(ANIMALS)
        bits = [f"It eats {animal.eats}.", f"It is {animal.colour}.", animal.fact]
        return " ".join([f"{capital(a(animal.name))} lives {animal.home}.", *rng.sample(bits, 3)])
    if kind < 0.85:
        seasons = table("nature")["seasons"]
        name = rng.choice(list(seasons))
        season = seasons[name]
        return f"In {name} {season['happens']}. It is a good time to {season['do']}. You should wear {season['wear']}."
    place = rng.choice(PLACES)
    return (
        f"{capital(place.name)} is {place.where}. There you find {place.see}. You can {place.do} there. {place.extra}"
    )


def document(rng: Random) -> str:
    kind = rng.random()
    if kind < 0.45:
        return story(rng)[1]
    if kind < 0.6:
        return person_page(rng)
    if kind < 0.8:
        return village_page(rng)
    if kind < 0.9:
        return thing_page(rng)
    return "\n\n".join((story(rng)[1], rng.choice((story(rng)[1], person_page(rng), village_page(rng)))))
