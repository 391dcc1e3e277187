"""How answers are drawn, as a person sets it: what a question is sent with, and the line that tells it."""

import random
import re
from dataclasses import dataclass, replace
from typing import Any

from loralab_core.errors import BadInput
from loralab_core.wire.messages import Sampling
from loralab_tui import words

SEEDS = 2**31
LONGEST = 32_768
BETWEEN = "||"  # stop texts; a single bar is part of many, such as <|user|>
_ESCAPES = {"n": "\n", "t": "\t"}


@dataclass(frozen=True)
class SamplingChoice:
    """`seed` None: another one each time. `system` goes before a conversation, never before a text to continue.

    Greedy text of a small model runs in circles, so the default draws; its fixed seed still gives the same answer to
    the same question.
    """

    system: str = ""
    temperature: float = 0.7
    top_p: float = 0.95
    top_k: int = 0
    min_p: float = 0.0
    repetition: float = 1.0
    seed: int | None = 0
    length: int = 256
    stop: tuple[str, ...] = ()

    @property
    def greedy(self) -> bool:
        return self.temperature == 0

    def drawn(self, attempt: int = 0) -> Sampling:
        """For the wire. `attempt` counts how often the same question was asked again, each time with another seed."""
        seed = random.randrange(SEEDS) if self.seed is None else (self.seed + attempt) % SEEDS
        return Sampling(
            temperature=self.temperature,
            top_p=self.top_p,
            top_k=self.top_k,
            min_p=self.min_p,
            repetition_penalty=self.repetition,
            stop=self.stop,
            seed=seed,
            max_new_tokens=self.length,
        )

    def told(self) -> str:
        """Only what differs from the default, in one line; nothing when nothing does."""
        parts = []
        if self.temperature != DEFAULT.temperature:
            parts.append("greedy" if self.greedy else f"temperature {self.temperature:g}")
        for name, word in _PLAIN.items():
            if (value := getattr(self, name)) != getattr(DEFAULT, name):
                parts.append(f"{word} {value:g}")
        if self.seed != DEFAULT.seed:
            parts.append("another seed each time" if self.seed is None else f"seed {self.seed}")
        if self.length != DEFAULT.length:
            parts.append(f"at most {self.length} tokens")
        if self.stop:
            parts.append(f"stops at {shown(self.stop)}")
        if self.system:
            parts.append(f"system: {words.one_line(self.system)}")
        return " · ".join(parts)

    def changed(self, name: str, text: str) -> "SamplingChoice":
        """With one setting read from what was typed. BadInput says what would fit."""
        return replace(self, **{name: read_setting(name, text.strip())})


DEFAULT = SamplingChoice()
_PLAIN = {"top_p": "top-p", "top_k": "top-k", "min_p": "min-p", "repetition": "repetition penalty"}


def read_setting(name: str, text: str) -> Any:
    """The value of one setting; an empty text is the default."""
    if name == "system":
        return text
    if not text:
        return getattr(DEFAULT, name)
    if name == "stop":
        return tuple(_unescaped(part.strip()) for part in text.split(BETWEEN) if part.strip())
    if name == "temperature" and text.lower() == "greedy":
        return 0.0
    if name == "seed" and text.lower() in ("any", "random", "-"):
        return None
    kind, least, most, wanted = _RANGES[name]
    try:
        value = kind(text.replace(",", "."))
    except ValueError:
        raise BadInput(f"{_PLAIN.get(name, name)} cannot be {text!r}: give {wanted}") from None
    if not least <= value <= most:  # a NaN is in no range
        raise BadInput(f"{_PLAIN.get(name, name)} cannot be {text!r}: give {wanted}")
    return value


def shown(value: object) -> str:
    """A setting as it is typed: `read_setting` reads it back."""
    if isinstance(value, tuple):
        return f" {BETWEEN} ".join(_escaped(stop) for stop in value)
    return "any" if value is None else f"{value:g}" if isinstance(value, float) else str(value)


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace("\n", "\\n").replace("\t", "\\t")


def _unescaped(text: str) -> str:
    """`\\n` is typed for a new line, `\\t` for a tab and `\\\\` for a backslash, since the field has one line."""
    return re.sub(r"\\(.)", lambda found: _ESCAPES.get(found[1], found[1]), text)


_RANGES: dict[str, tuple[Any, float, float, str]] = {
    "temperature": (float, 0, 5, "0 (greedy, the likeliest word each time) to 5, such as 0.7"),
    "top_p": (float, 0.01, 1, "a share above 0, up to 1, such as 0.95"),
    "top_k": (int, 0, 1_000_000, "a whole number of words, such as 40, or 0 for all"),
    "min_p": (float, 0, 1, "a share from 0 (off) to 1, such as 0.05"),
    "repetition": (float, 0.5, 2, "a number from 0.5 to 2, such as 1.1; 1 is off"),
    "seed": (int, 0, SEEDS - 1, "a whole number, or `any` for another one each time"),
    "length": (int, 1, LONGEST, f"a whole number of tokens, 1 to {LONGEST}"),
}
