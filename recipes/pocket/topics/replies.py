"""What a person says when Pocket's answer ends in a question, and how Pocket takes it up."""

from collections.abc import Callable
from random import Random

from recipes.pocket.forms import question, talk
from recipes.pocket.topics import play, stories
from recipes.pocket.world import table

Turns = list[tuple[str, str]]


def _refused(rng: Random) -> Turns:
    return [talk(rng, "replies.no")]


def _story(rng: Random) -> Turns:
    return _refused(rng) if rng.random() < 0.15 else [(question(rng, "replies.yes"), stories.story(rng)[1])]


def _joke(rng: Random) -> Turns:
    if rng.random() < 0.15:
        return _refused(rng)
    return [(question(rng, "replies.yes"), rng.choice(table("play")["jokes"]))]


def _riddle(rng: Random) -> Turns:
    turns = play.riddle(rng)
    if rng.random() < 0.15:
        return _refused(rng)
    return [(question(rng, "replies.yes"), turns[0][1]), *turns[1:]]


def _well(rng: Random) -> Turns:
    return [talk(rng, "replies.not_well" if rng.random() < 0.2 else "replies.well")]


def _name(rng: Random) -> Turns:
    name = rng.choice(table("them")["names"])
    said = rng.choice((name, name.lower()))
    asks, answer = talk(rng, "replies.name", n=name)
    return [(asks.replace(name, said), answer)]


def _colour(rng: Random) -> Turns:
    colour = rng.choice(table("replies")["colours"])
    return [talk(rng, "replies.colour", c=colour, x=colour.capitalize())]


def _anything(rng: Random) -> Turns:
    return [talk(rng, "replies.anything")]


_STORY_OFFERS = ("hear a story?", "tell you a story?", "tell you one?", "a story, friend?", "like a story?")
_REPLIES: tuple[tuple[tuple[str, ...], Callable[[Random], Turns]], ...] = (
    ((*_STORY_OFFERS, "a story instead?"), _story),
    (("you a riddle?", "a riddle?"), _riddle),
    (("try another one?",), _riddle),
    (("How are you today?", "How are you?", "how are you?"), _well),
    (("What is your name?", "And what is yours?", "shall I call you?"), _name),
    (("your favourite colour?",), _colour),
    (("like to talk about?",), _anything),
)


def reply(answer: str, rng: Random, jokes: bool = False, tales: bool = False) -> Turns:
    """Turns that take up the question `answer` ends in; none where there is no such question."""
    if answer.endswith(("tell you another?", "like one more?")):
        return _joke(rng) if jokes else _story(rng) if tales else []
    return next((take_up(rng) for endings, take_up in _REPLIES if answer.endswith(endings)), [])
