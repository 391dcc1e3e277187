"""The loss curve as data: what came, and the little of it that a picture needs."""

import math
from array import array
from bisect import bisect_right
from collections.abc import Iterator

Points = tuple[list[int], list[float]]
WINDOW_SHARE = 20  # the smooth line averages over a twentieth of the picture to either side


class Curve:
    """Losses by ascending step. A value that is not a number stays, as a gap."""

    def __init__(self) -> None:
        self.steps = array("q")
        self.losses = array("d")

    def __len__(self) -> int:
        return len(self.steps)

    def add(self, step: int, loss: float | None) -> None:
        """Append; a step already known replaces what there was from it on."""
        if self.steps and step <= self.steps[-1]:
            self.cut(step - 1)
        self.steps.append(step)
        self.losses.append(math.nan if loss is None or not math.isfinite(loss) else loss)

    def cut(self, last: int) -> None:
        """Forget every step above `last`: a resumed run voids them."""
        keep = bisect_right(self.steps, last)
        del self.steps[keep:], self.losses[keep:]

    def dots(self, buckets: int) -> Points:
        """The smallest and largest loss of each bucket: peaks survive, the number of points stays bounded."""
        steps: list[int] = []
        values: list[float] = []
        for part in _parts(len(self), buckets):
            losses = self.losses[part.start : part.stop]
            known = losses if not math.isnan(sum(losses)) else [loss for loss in losses if not math.isnan(loss)]
            for index in sorted({losses.index(end) for end in (min(known), max(known))} if known else ()):
                steps.append(self.steps[part.start + index])
                values.append(losses[index])
        return steps, values

    def line(self, buckets: int) -> list[Points]:
        """The smooth line: a centred mean over bucket means, so that it neither lags nor hides the start.

        In unbroken pieces: a bucket that holds a gap ends one, the next begins behind it.
        """
        pieces: list[Points] = [([], [])]
        for part in _parts(len(self), buckets):
            mean = sum(self.losses[part.start : part.stop]) / len(part)
            if math.isnan(mean):
                pieces.append(([], []))
            else:
                pieces[-1][0].append(self.steps[(part.start + part.stop - 1) // 2])
                pieces[-1][1].append(mean)
        reach = 1 + min(len(self), buckets) // WINDOW_SHARE
        return [(steps, _smooth(values, reach)) for steps, values in pieces if steps]


def _smooth(values: list[float], reach: int) -> list[float]:
    """Means over `reach` neighbours to either side; fewer, but as many on both, where the steep beginning is."""
    windows = (values[i - min(i, reach) : i + min(i, reach) + 1] for i in range(len(values)))
    return [sum(window) / len(window) for window in windows]


def _parts(length: int, buckets: int) -> Iterator[range]:
    """`length` indices in at most `buckets` neighbouring ranges."""
    count = min(length, max(1, buckets))
    for number in range(count):
        yield range(number * length // count, (number + 1) * length // count)
