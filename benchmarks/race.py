"""Peers timed in turn in one process: a machine that drifts drifts for all of them."""

import statistics
import time
from collections.abc import Callable
from itertools import cycle
from typing import Any, TypeVar

T = TypeVar("T")
COLD = 192 << 20  # bytes of weights that take turns: more than a cache holds
SPELL_S, LEAST_ROUNDS, MOST_ROUNDS = 0.003, 3, 400


def race(works: dict[str, Callable[[], Any]], seconds: float = 3.0) -> dict[str, dict[str, float]]:
    """Microseconds of one call of each, the best and the median of rounds that take about so long in all."""
    times: dict[str, list[float]] = {name: [] for name in works}
    for work in works.values():
        work()
    end = time.monotonic() + seconds
    for number in range(MOST_ROUNDS):
        if number >= LEAST_ROUNDS and time.monotonic() > end:
            break
        for name, work in works.items():
            times[name].append(spell(work))
    return {name: {"min_us": min(each), "median_us": statistics.median(each)} for name, each in times.items()}


def spell(work: Callable[[], Any]) -> float:
    """Microseconds a call, of calls that take some milliseconds together."""
    calls, began, passed = 0, time.perf_counter(), 0.0
    while passed < SPELL_S:
        work()
        calls += 1
        passed = time.perf_counter() - began
    return passed / calls * 1e6


def turns(work: Callable[[T], Any], of: list[T]) -> Callable[[], Any]:
    """`work` on another of these each time."""
    each = cycle(of)
    return lambda: work(next(each))


def copies(nbytes: int, cold: bool = True) -> int:
    """How many of a weight of that size take turns; warm ones, two."""
    return max(2, COLD // nbytes) if cold else 2


def ratios(times: dict[str, dict[str, float]], of: str, to: tuple[str, ...]) -> dict[str, float]:
    """How many times as fast `of` is as each of `to`, by the best times."""
    return {f"{of} against {peer}": round(times[peer]["min_us"] / times[of]["min_us"], 3) for peer in to}
