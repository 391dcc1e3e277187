"""What there is to eat."""

from random import Random

from recipes.pocket.forms import question, talk
from recipes.pocket.grammar import capital, one
from recipes.pocket.world import FOODS, table

Turns = list[tuple[str, str]]


def food_talk(rng: Random) -> Turns:
    food = rng.choice(FOODS)
    one_thing = food.verb == "is"
    kind = rng.choice(["all", "taste", "colour", "made", "like"])
    words = {
        "f": food.name,
        "F": capital(food.name),
        "are": food.verb,
        "Are": capital(food.verb),
        "It": "It" if one_thing else "They",
        "do": "does" if one_thing else "do",
        "kind": food.kind,
        "taste": food.taste,
        "colour": food.colour,
        "made": food.made,
    }
    return [talk(rng, "food." + kind, **words)]


def eating(rng: Random) -> Turns:
    meals, forms = table("food")["meals"], table("food")
    meal = rng.choice(list(meals))
    asks = question(rng, "food.eating", meal=meal)
    dish = rng.choice(meals[meal])
    says = one(rng, *forms["eating"]["answers"], x=dish, meal=meal)
    return [(asks, says + one(rng, *forms["besides"]["answers"]))]
