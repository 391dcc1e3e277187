"""The loss curve as data: what came, and the little of it that a picture needs."""

import math
from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Iterator

Points = tuple[list[int], list[float]]
WINDOW_SHARE = 20  # the smooth line averages over a twentieth of the picture to either side


class Curve:
    """Losses by ascending step. A value that is not a number stays, as a gap. `tokens`: trained by then, 0: unknown."""

    def __init__(self) -> None:
        self.steps = array("q")
        self.losses = array("d")
        self.tokens = array("q")

    def __len__(self) -> int:
        return len(self.steps)

    def add(self, step: int, loss: float | None, tokens: int | None = None) -> None:
        """Append; a step already known replaces what there was from it on."""
        if self.steps and step <= self.steps[-1]:
            self.cut(step - 1)
        self.steps.append(step)
        self.losses.append(math.nan if loss is None or not math.isfinite(loss) else loss)
        self.tokens.append(tokens or 0)

    def cut(self, last: int) -> None:
        """Forget every step above `last`: a resumed run voids them."""
        keep = bisect_right(self.steps, last)
        del self.steps[keep:], self.losses[keep:], self.tokens[keep:]

    def tokens_at(self, step: int) -> int:
        """How many had been trained by `step`."""
        index = bisect_right(self.steps, step)
        return self.tokens[index - 1] if index else 0

    def newest(self, share: float) -> int:
        """The index from which the last `share` of the steps stands."""
        if not self.steps:
            return 0
        first = self.steps[-1] - share * (self.steps[-1] - self.steps[0])
        return min(bisect_left(self.steps, first), max(0, len(self) - 2))

    def dots(self, buckets: int, first: int = 0) -> Points:
        """The smallest and largest loss of each bucket: peaks survive, the number of points stays bounded.

        Of the steps from index `first` on.
        """
        steps: list[int] = []
        values: list[float] = []
        for part in _parts(first, len(self), buckets):
            losses = self.losses[part.start : part.stop]
            known = losses if not math.isnan(sum(losses)) else [loss for loss in losses if not math.isnan(loss)]
            for index in sorted({losses.index(end) for end in (min(known), max(known))} if known else ()):
                steps.append(self.steps[part.start + index])
                values.append(losses[index])
        return steps, values

    def line(self, buckets: int, first: int = 0, by_tokens: bool = False) -> list[Points]:
        """The smooth line: a centred mean over bucket means, so that it neither lags nor hides the start.

        In unbroken pieces: a bucket that holds a gap ends one, the next begins behind it. Over steps, or over tokens.
        """
        along = self.tokens if by_tokens else self.steps
        pieces: list[Points] = [([], [])]
        for part in _parts(first, len(self), buckets):
            mean = sum(self.losses[part.start : part.stop]) / len(part)
            if math.isnan(mean):
                pieces.append(([], []))
            else:
                pieces[-1][0].append(along[(part.start + part.stop - 1) // 2])
                pieces[-1][1].append(mean)
        reach = 1 + min(len(self) - first, buckets) // WINDOW_SHARE
        return [(places, _smooth(values, reach)) for places, values in pieces if places]


def _smooth(values: list[float], reach: int) -> list[float]:
    """Means over `reach` neighbours to either side; fewer, but as many on both, where the steep beginning is."""
    windows = (values[i - min(i, reach) : i + min(i, reach) + 1] for i in range(len(values)))
    return [sum(window) / len(window) for window in windows]


def _parts(first: int, end: int, buckets: int) -> Iterator[range]:
    """The indices from `first` up to `end` in at most `buckets` neighbouring ranges."""
    length = end - first
    count = min(length, max(1, buckets))
    for number in range(count):
        yield range(first + number * length // count, first + (number + 1) * length // count)
