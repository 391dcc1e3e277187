"""Greetings, what Pocket is, how people feel."""

from random import Random

from recipes.pocket.forms import answer, question, talk
from recipes.pocket.grammar import asked, one
from recipes.pocket.world import table

Turns = list[tuple[str, str]]


def hello(rng: Random) -> Turns:
    asks = question(rng, "meeting.hello")
    return [(asks, answer(rng, "meeting.how_are_you" if "how are" in asks.lower() else "meeting.hello"))]


def time_of_day(rng: Random) -> Turns:
    return [talk(rng, "meeting." + rng.choice(["morning", "afternoon", "evening"]))]


def how_are_you(rng: Random) -> Turns:
    turns = [talk(rng, "meeting.how_are_you")]
    if rng.random() < 0.5:
        turns.append(talk(rng, "meeting.fine_too"))
    return turns


def goodbye(rng: Random) -> Turns:
    return [talk(rng, "meeting.good_night" if rng.random() < 0.3 else "meeting.goodbye")]


def thanks(rng: Random) -> Turns:
    return [talk(rng, "meeting.thanks")]


def about_pocket(rng: Random) -> Turns:
    row = rng.choice(table("pocket")["about"])
    return [(asked(rng, *row["questions"]), one(rng, *row["answers"]))]


def feeling(rng: Random) -> Turns:
    row = rng.choice(table("chatter")["feeling"])
    word = rng.choice(row["words"])
    asks = question(rng, "them.feeling", word=word, bare=word.replace("feeling ", ""))
    more = rng.sample(row["more"], min(len(row["more"]), rng.choice([1, 1, 2])))
    return [(asks, " ".join([row["first"], *more]))]
