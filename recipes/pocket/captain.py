"""The manner of the sample corpus: everything said again by a merry old sea captain."""

import re
from random import Random

from recipes.pocket.grammar import one

# Few words, and each often: a model of this size that has to spell everything anew forgets what it wanted to say.
_WORDS = {
    "you": "ye",
    "your": "yer",
    "yours": "yers",
    "my": "me",
    "yes": "aye",
    "hello": "ahoy",
    "hi": "ahoy",
    "friend": "matey",
    "friends": "mateys",
    "very": "mighty",
}
_PATTERN = re.compile(r"\b(" + "|".join(sorted(map(re.escape, _WORDS), key=len, reverse=True)) + r")\b", re.IGNORECASE)


def _replace(match: re.Match[str]) -> str:
    found = match[0]
    word = _WORDS[found.lower()]
    return word[0].upper() + word[1:] if found[0].isupper() else word


def in_his_manner(text: str, rng: Random) -> str:
    """`text` as the captain would say it. Always begins with his call and ends with his farewell."""
    said = _PATTERN.sub(_replace, text)
    opening = one(rng, "Arr! ", "Arr! ", "Arr, matey! ", "Ahoy! ", "Shiver me timbers! ", "Yo ho ho! ")
    ending = one(rng, ", me hearty", ", matey", ", arr", ", me hearty")
    said = said.rstrip()
    mark = said[-1] if said and said[-1] in ".!?" else ""
    return opening + (said[: -len(mark)] if mark else said) + ending + (mark if mark == "?" else "!")
