"""How tokens are drawn, and which numbers make sense there."""

import math

import msgspec

from loralab_core.errors import BadInput

SEEDS = 2**63


class Sampling(msgspec.Struct, kw_only=True, frozen=True):
    """How tokens are drawn. temperature 0 is greedy."""

    temperature: float = 0.0
    top_k: int = 0  # 0: all
    top_p: float = 1.0
    min_p: float = 0.0  # leave out what is less likely than this share of the likeliest
    repetition_penalty: float = 1.0  # above 1: what was read or said before becomes less likely
    stop: tuple[str, ...] = ()  # texts that end the answer and are no part of it
    seed: int = 0
    max_new_tokens: int = 256


def check_sampling(how: Sampling) -> Sampling:
    """The same; BadInput names a setting that cannot be and says what would fit."""
    fits = {  # a NaN fits nowhere
        "temperature": (0 <= how.temperature < math.inf, "0 (greedy) or more, such as 0.7"),
        "top_k": (how.top_k >= 0, "a number of tokens, or 0 for all"),
        "top_p": (0 <= how.top_p <= 1, "a share from 0 to 1, such as 0.95"),
        "min_p": (0 <= how.min_p <= 1, "a share from 0 to 1, such as 0.05"),
        "repetition_penalty": (0 < how.repetition_penalty < math.inf, "a number above 0, such as 1.1 (1: none)"),
        "seed": (0 <= how.seed < SEEDS, f"a whole number from 0 to {SEEDS - 1}"),
        "max_new_tokens": (how.max_new_tokens >= 0, "a number of tokens"),
    }
    for name, (good, wanted) in fits.items():
        if not good:
            raise BadInput(f"{name.replace('_', '-')} cannot be {getattr(how, name)}: give {wanted}")
    return how
