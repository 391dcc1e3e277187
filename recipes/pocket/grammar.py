"""Sentences with choices in them, and the many ways a person types one question."""

import re
from random import Random

_CHOICE = re.compile(r"\[([^\[\]]*)\]")
_CONTRACTIONS = (
    ("What is ", "What's "),
    ("Who is ", "Who's "),
    ("Where is ", "Where's "),
    ("How is ", "How's "),
    ("I am ", "I'm "),
    ("I have ", "I've "),
    ("do not", "don't"),
    ("does not", "doesn't"),
    ("did not", "didn't"),
    ("cannot", "can't"),
    ("is not", "isn't"),
    ("You are ", "You're "),
    ("you are ", "you're "),
    ("Let us ", "Let's "),
    ("It is ", "It's "),
)
_CALLS = ("Pocket, ", "Hey Pocket, ", "Hi Pocket, ", "Okay, ")
_KEEPS_CAPITAL = re.compile(
    r"(I|I'm|I've|[A-Z][a-z]+'s)\b|(Mara|Tom|Ida|Ben|Lotte|Nils|Rosa|Pim|June|Greta|Old|Doctor|Captain)\b"
)


def expand(template: str, rng: Random, **words: object) -> str:
    """`[a|b]` becomes a or b, innermost first; then `{word}` is filled in."""
    while "[" in template:
        template = _CHOICE.sub(lambda match: rng.choice(match[1].split("|")), template)
    return template.format(**words) if words else template


def one(rng: Random, *templates: str, **words: object) -> str:
    """One of `templates`, expanded."""
    return expand(rng.choice(templates), rng, **words)


def asked(rng: Random, *templates: str, **words: object) -> str:
    """A question or remark as somebody in a hurry may type it: contracted, in small letters, without its mark."""
    text = one(rng, *templates, **words)
    if rng.random() < 0.35:
        for long, short in _CONTRACTIONS:
            text = text.replace(long, short)
    if rng.random() < 0.07 and len(text) > 12:
        text = rng.choice(_CALLS) + _small_start(text)
    if rng.random() < 0.3:
        text = text.rstrip("?.!")
    if rng.random() < 0.3:
        text = text.lower()
    elif rng.random() < 0.02:
        text = text.upper()
    return text


def _small_start(text: str) -> str:
    return text if _KEEPS_CAPITAL.match(text) else text[:1].lower() + text[1:]


def capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def a(noun: str) -> str:
    """The noun with its article."""
    return ("an " if noun[0] in "aeiou" else "a ") + noun


def listed(items: list[str]) -> str:
    """ "a, b and c"."""
    return items[0] if len(items) == 1 else ", ".join(items[:-1]) + " and " + items[-1]
