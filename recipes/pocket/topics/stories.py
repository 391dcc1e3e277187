"""Tiny stories of three to seven sentences, asked for in a chat or standing alone."""

from dataclasses import dataclass
from random import Random

from recipes.pocket.forms import question, talk
from recipes.pocket.grammar import a, capital, one
from recipes.pocket.world import ANIMALS, PEOPLE, table

Turns = list[tuple[str, str]]

_HIS = {"he": "his", "she": "her", "it": "its"}
_HIM = {"he": "him", "she": "her", "it": "it"}
_TOWARDS = {"on": "down to", "in": "into", "by": "to", "near": "up to", "behind": "behind", "under": "down to"}


@dataclass(frozen=True)
class Figure:
    first: str  # how the figure is first mentioned: "a brave mouse called Pip"
    later: str
    he: str  # he, she or it
    asks: str  # what one asks for: "a mouse"


def _figure(rng: Random, person: bool) -> Figure:
    if person:
        who = rng.choice(PEOPLE)
        return Figure(who.name, who.name, who.she, who.name)
    animal = rng.choice(ANIMALS).name
    name = rng.choice(table("stories")["names"])
    adjective = rng.choice(table("stories")["adjectives"])
    if rng.random() < 0.5:
        return Figure(f"{a(adjective)} {animal} called {name}", name, rng.choice(["he", "she"]), a(animal))
    return Figure(f"{a(adjective)} {animal}", f"the {animal}", "it", a(animal))


def story(rng: Random) -> tuple[str, str]:
    """(what one may ask for to get it, the story)"""
    hero = _figure(rng, rng.random() < 0.45)
    friend = _figure(rng, rng.random() < 0.7)
    while friend.later == hero.later:
        friend = _figure(rng, True)
    words = {**_cast(hero, friend), **_props(rng)}
    plot = one(rng, rng.choice(table("stories")["plots"]), **words)
    form = table("stories")["known_hero" if hero.first == hero.later else "new_hero"]
    return hero.asks, one(rng, *form["answers"], x=hero.first) + plot


def _cast(hero: Figure, friend: Figure) -> dict[str, str]:
    return {
        "hero": hero.later,
        "Hero": capital(hero.later),
        "he": hero.he,
        "He": capital(hero.he),
        "his": _HIS[hero.he],
        "him": _HIM[hero.he],
        "friend": friend.later,
        "friend_start": capital(friend.later),
        "friend_he": friend.he,
        "friend_him": _HIM[friend.he],
    }


def _props(rng: Random) -> dict[str, str]:
    words = table("stories")
    thing = rng.choice(words["things"])
    place, place2, goal = rng.sample(words["places"], 3)
    where, what = goal.split(" ", 1)
    weather, feast = rng.choice(words["weather"]), rng.choice(words["feasts"])
    walk = f"{_TOWARDS[where]} {what}"
    places = {"place": place, "place2": place2, "walk": walk}
    return {**places, "thing": thing, "a_thing": a(thing), "weather": weather, "feast": feast}


def story_talk(rng: Random) -> Turns:
    asks, text = story(rng)
    about = "stories.about" if rng.random() < 0.5 else "stories.any"
    turns = [(question(rng, about, x=asks), text)]
    if rng.random() < 0.25:
        turns.append((question(rng, "stories.another"), story(rng)[1]))
    elif rng.random() < 0.3:
        turns.append(talk(rng, "stories.praise"))
    return turns
