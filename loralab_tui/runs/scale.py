"""What part of the values a picture shows: a first spike must not press all the rest into one line."""

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

from loralab_tui.runs.curve import Points

ENOUGH = 20  # fewer values are all shown
RARE = 0.03  # what lies above is at most this share of the values
FAR = 3.0  # only what is this many times as high as the rest is left out
ROOM = 0.12
ALIKE = 1e-6  # of the largest value: what differs less is drawn as one
FLAT = 0.05
LONG = 10_000  # from here on "20k" instead of 20000

Place = Callable[[float], float]  # where a value stands: at itself, or at its logarithm


class Scale(NamedTuple):
    """`high` may be below the largest value; `cut` is then that value, for the legend to say."""

    low: float
    high: float
    cut: float | None = None


def scale(values: Sequence[float], always: Sequence[float] = ()) -> Scale:
    """For `values` that are drawn with a sign where they lie above, and those that are `always` inside."""
    known = sorted(values)
    low, high = min([*known[:1], *always]), max([*known[-1:], *always])
    if len(known) < ENOUGH:
        return Scale(low, high)
    usual = max([known[math.ceil(len(known) * (1 - RARE)) - 1], *always])
    if high - low <= FAR * (usual - low) or usual <= low:
        return Scale(low, high)
    return Scale(low, usual + ROOM * (usual - low), high)


def below(piece: Points, high: float) -> list[Points]:
    """The parts of a line up to `high`; where it crosses it ends (or begins) at the very edge."""
    parts: list[Points] = [([], [])]
    before: tuple[int, float] | None = None
    for place, value in zip(*piece, strict=True):
        if before is not None and (value > high) != (before[1] > high):
            share = (high - before[1]) / (value - before[1])
            parts[-1][0].append(round(before[0] + share * (place - before[0])))
            parts[-1][1].append(high)
        if value <= high:
            parts[-1][0].append(place)
            parts[-1][1].append(value)
        elif parts[-1][0]:
            parts.append(([], []))
        before = (place, value)
    return [part for part in parts if part[0]]


def roomy(heights: Scale) -> Scale:
    """Values that are all alike stand in the middle of a scale, not on the edge of none."""
    low, high, cut = heights
    largest = max(abs(low), abs(high))
    room = FLAT * largest if high - low <= ALIKE * largest else 0.0
    return Scale(low - room, high + room, cut) if largest else Scale(-1.0, 1.0, cut)


def round_ticks(low: float, high: float, most: int, place: Place = float) -> list[float]:
    """From two to `most` multiples of 1, 2 or 5 times a power of ten, over at least half of the scale."""
    span = high - low
    if span <= 0:
        return [low]
    power = 10.0 ** math.floor(math.log10(span / most))  # a rounding error may make it one too small: hence the 20
    strides = (power * factor for factor in (0.5, 1, 2, 5, 10, 20))
    return _fitting([_multiples(low, high, stride) for stride in strides], place(high) - place(low), most, place)


def log_ticks(low: float, high: float, most: int) -> list[float]:
    """The same for a scale of equal ratios: 1, 2, 5, 10, 20 …, or powers of ten; `low` is above 0."""
    if high < 10 * low:
        return round_ticks(low, high, most, math.log10)
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    finest = [factor * 10.0**power for power in powers for factor in (1, 2, 5)]
    coarser = ([10.0**power for power in powers if power % apart == 0] for apart in (1, 2, 5, 10, 1000))
    inside = [[tick for tick in ticks if low <= tick <= high] for ticks in (finest, *coarser)]
    return _fitting(inside, math.log10(high / low), most, math.log10)


def _multiples(low: float, high: float, stride: float) -> list[float]:
    first, last = math.ceil(low / stride - 1e-9), math.floor(high / stride + 1e-9)
    digits = 2 - math.floor(math.log10(stride))
    return [round(number * stride, digits) for number in range(first, last + 1)]


def _fitting(finer_first: list[list[float]], span: float, most: int, place: Place) -> list[float]:
    """The finest with at most `most` ticks; if those stand close together, the one before, thinned evenly."""
    at = next(number for number, ticks in enumerate(finer_first) if len(ticks) <= most)
    ticks = finer_first[at]
    close = not ticks or 2 * (place(ticks[-1]) - place(ticks[0])) < span
    return _thinned(finer_first[at - 1], most) if close and at else ticks


def _thinned(ticks: list[float], most: int) -> list[float]:
    """From end to end, by the smallest number that divides the way: of prime lengths the two ends."""
    last = len(ticks) - 1
    apart = next(number for number in range(1, last + 1) if last % number == 0 and last // number < most)
    return ticks[::apart]


def label(tick: float) -> str:
    """Exact, as short as that can be: 2.5, 950, 12.5k, 1.2M."""
    for begins, size, unit in ((1e9, 1e9, "G"), (1e6, 1e6, "M"), (LONG, 1e3, "k")):
        if abs(tick) >= begins:
            return f"{tick / size:.10g}{unit}"
    return f"{tick:.10g}"
