"""Peers timed in turn in one process; on a GPU by events, and the calls as one graph, so that launching costs nothing.

What a peer does is a list of calls, on inputs that take turns: together larger than a cache where that matters.
"""

import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch

Calls = Sequence[Callable[[], Any]]
LEAST_ROUNDS, MOST_ROUNDS = 5, 200
SPELL_US = 500  # at least, between two events: their own resolution is half a microsecond


@dataclass(frozen=True)
class Time:
    """Microseconds of one call."""

    median: float
    least: float
    captured: bool  # as a graph; else one by one, with what launching costs

    def facts(self) -> dict[str, Any]:
        return {"median_us": round(self.median, 2), "least_us": round(self.least, 2), "captured": self.captured}


def race(works: dict[str, Calls], device: torch.device, seconds: float) -> dict[str, Time]:
    """Each peer's turn comes in every round; rounds take about so long in all."""
    spells = {name: _spell(calls, device) for name, calls in works.items()}
    times: dict[str, list[float]] = {name: [] for name in works}
    end = time.monotonic() + seconds
    for number in range(MOST_ROUNDS):
        if number >= LEAST_ROUNDS and time.monotonic() > end:
            break
        for name, (spell, _) in spells.items():
            times[name].append(spell())
    return {name: Time(statistics.median(each), min(each), spells[name][1]) for name, each in times.items()}


def _spell(calls: Calls, device: torch.device) -> tuple[Callable[[], float], bool]:
    """What gives microseconds a call, woken up, and whether it is a graph."""
    if device.type != "cuda":
        return _by_clock(calls), False
    once, captured = _captured(calls, device)
    passed = _between_events(once)
    repeats = max(1, round(SPELL_US / max(passed, 1.0)))

    def spell() -> float:
        return _between_events(lambda: [once() for _ in range(repeats)]) / (repeats * len(calls))

    return spell, captured


def _by_clock(calls: Calls) -> Callable[[], float]:
    def spell() -> float:
        began = time.perf_counter()
        for call in calls:
            call()
        return (time.perf_counter() - began) / len(calls) * 1e6

    spell()
    return spell


def _between_events(work: Callable[[], Any]) -> float:
    """Microseconds."""
    begin, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
    begin.record()
    work()
    end.record()
    end.synchronize()
    return begin.elapsed_time(end) * 1e3


def _captured(calls: Calls, device: torch.device) -> tuple[Callable[[], Any], bool]:
    """All calls as one graph; as they are where one of them refuses to be captured."""

    def all_of_them() -> None:
        for call in calls:
            call()

    side = torch.cuda.Stream(device)
    side.wait_stream(torch.cuda.current_stream(device))
    with torch.cuda.stream(side):
        all_of_them()
        all_of_them()
    torch.cuda.current_stream(device).wait_stream(side)
    torch.cuda.synchronize(device)
    graph = torch.cuda.CUDAGraph()
    try:
        with torch.cuda.graph(graph, stream=side):
            all_of_them()
    except RuntimeError:
        torch.cuda.synchronize(device)
        return all_of_them, False
    graph.replay()
    torch.cuda.synchronize(device)
    return graph.replay, True
