"""Lengths in figures: quantiles, and a histogram that fits a terminal line."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

_BARS = "▁▂▃▄▅▆▇█"
_QUANTILES = (0.0, 0.25, 0.5, 0.75, 0.95, 1.0)


@dataclass(frozen=True)
class LengthStatistics:
    """Token counts of rows. `edges` has one more entry than `counts`; bin i holds edges[i] ≤ length < edges[i + 1]."""

    count: int
    mean: float
    quantiles: dict[str, int]  # "min", "p25", "p50", "p75", "p95", "max"
    edges: list[int]
    counts: list[int]


def length_statistics(lengths: npt.NDArray[np.int64], bins: int = 16) -> LengthStatistics:
    """Statistics of `lengths` [rows]; the bins cover the shortest to the longest evenly."""
    if not len(lengths):
        return LengthStatistics(0, 0.0, {}, [], [])
    names = ("min", "p25", "p50", "p75", "p95", "max")
    values = np.quantile(lengths, _QUANTILES, method="lower")
    low, high = int(lengths.min()), int(lengths.max()) + 1
    edges = np.unique(np.linspace(low, high, min(bins, high - low) + 1).round().astype(np.int64))
    counts, _ = np.histogram(lengths, edges)
    return LengthStatistics(
        count=len(lengths),
        mean=round(float(lengths.mean()), 2),
        quantiles={name: int(value) for name, value in zip(names, values, strict=True)},
        edges=edges.tolist(),
        counts=counts.tolist(),
    )


def counted(count: int, unit: str) -> str:
    """ "1 row", "7,473 rows"."""
    return f"{count:,} {unit}{'' if count == 1 else 's'}"


def histogram_line(counts: list[int]) -> str:
    """The counts as one line of block characters; a bin that holds anything is visible."""
    top = max(counts, default=0)
    return "".join(" " if not count else _BARS[(count * len(_BARS) - 1) // top] for count in counts)
