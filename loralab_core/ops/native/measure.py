"""The measurement behind the table: every candidate on two sizes of weight, rows in powers of two. A few seconds.

Weights take turns, so that few rows meet one that lies in memory and not in the cache, as in a model.
"""

import json
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from functools import partial
from itertools import cycle
from pathlib import Path
from typing import TypeVar

import torch
from torch import Tensor

from loralab_core.ops.native.choice import BUCKETS, Table, candidates, classes, fixed
from loralab_core.ops.native.library import Native
from loralab_core.ops.native.verdict import keep, place
from loralab_core.ops.quant_matmul import parts
from loralab_core.quant import QuantTensor, quantize

BUDGET_S = 7.0  # of first looks; what is left then stays as it was fixed
CLEARLY = 1.1  # times faster than the fixed path must be what replaces it: noise alone should change nothing
SHAPES = {True: (1536, 576), False: (2048, 2048)}  # of the small and of the large class, [out, in]
COLD = 64 << 20  # bytes of weights that take turns: more than a cache holds
ROUNDS, SPELL_S = 3, 0.002  # the best of so many, each at least so long
LONG_US = 20_000  # a call that takes so long is not repeated
HOPELESS = 2.0  # a path that took so much longer with fewer rows than the best does now is not measured
DENSE = "dense"
T = TypeVar("T")
MEASURED = 9  # buckets: more rows take what 256 take


@dataclass
class Measured:
    """What is kept: the table, and microseconds by class, bucket and path, for whoever wants to see why."""

    table: Table
    microseconds: dict[str, list[dict[str, float]]]


def kept(active: Native) -> Table | None:
    found = kept_measurement(active)
    return found.table if found else None


def kept_measurement(active: Native) -> Measured | None:
    """None where nothing was measured for these kernels, processor and threads, or the file is damaged."""
    try:
        found = json.loads(_file(active).read_bytes())
        table = {name: [*map(str, paths)] for name, paths in found["table"].items()}
        return Measured(table, found["microseconds"])
    except (OSError, ValueError, LookupError, TypeError, AttributeError):
        return None


def measure(active: Native, dense: bool = False) -> Measured:
    """Measured now, and kept for later processes. With `dense`, against dense products too, whatever time it takes."""
    found = Measured(fixed(active), {})
    end = float("inf") if dense else time.monotonic() + BUDGET_S
    for small in (True, False):
        weights = _weights(*SHAPES[small])
        of_this_size = [(name, key) for name, key in classes().items() if key[3] == small]
        for name, (compute, dtype, transposed, _) in of_this_size:
            paths = candidates(active, compute, dtype, transposed)
            if dense or len(paths) > 1:
                found.microseconds[name] = _class(paths, weights, transposed, dtype, dense, end)
        for name, (_, dtype, transposed, _) in of_this_size:
            if times := found.microseconds.get(name):
                _look_again(times, found.table[name], weights, transposed, dtype)
                found.table[name] = _winners(times, found.table[name])
    keep(_file(active), json.dumps(asdict(found)).encode())
    return found


def _winners(times: list[dict[str, float]], fixed: list[str]) -> list[str]:
    """Of every bucket; beyond the measured ones the last winner, where there is one."""
    won = [_winner(each, usual) for usual, each in zip(fixed, times, strict=False)]
    return won + (won[-1:] * (BUCKETS - len(won)) if len(won) == MEASURED else fixed[len(won) :])


def _winner(times: dict[str, float], usual: str) -> str:
    best = min((path for path in times if path != DENSE), key=times.__getitem__)
    return usual if times.get(usual, float("inf")) < CLEARLY * times[best] else best


def _look_again(
    times: list[dict[str, float]], fixed: list[str], weights: list[QuantTensor], transposed: bool, dtype: torch.dtype
) -> None:
    """What would replace the fixed path has to win some seconds later too: a busy moment must not decide for good."""
    for bucket, (usual, each) in enumerate(zip(fixed, times, strict=False)):
        if usual in each and (best := _winner(each, usual)) != usual:
            again = _race(_works([usual, best], bucket, weights, transposed, dtype), {usual: 0.0, best: 0.0})
            each |= {path: min(each[path], again[path]) for path in again}


def _file(active: Native) -> Path:
    assert active.library is not None
    return place(active.library, active.isa, f"{torch.get_num_threads()}-threads.json")


def _weights(out: int, width: int) -> list[QuantTensor]:
    weight = quantize(torch.randn(out, width, generator=torch.Generator().manual_seed(0)), "nf4")
    return [replace(weight, codes=weight.codes.clone()) for _ in range(COLD // weight.nbytes)]


def _class(
    paths: list[str], weights: list[QuantTensor], transposed: bool, dtype: torch.dtype, dense: bool, end: float
) -> list[dict[str, float]]:
    """Microseconds of each path that was worth measuring, by bucket."""
    matrix = weights[0].dequantize(dtype)
    matrices = [matrix.clone() for _ in range(COLD // matrix.nbytes)] if dense else []
    found: list[dict[str, float]] = []
    least = dict.fromkeys(paths, 0.0)
    while len(found) < MEASURED and time.monotonic() < end:
        times = _race(_works(paths, len(found), weights, transposed, dtype), least)
        if dense:
            x = _rows(len(found), weights, transposed, dtype)
            times[DENSE] = _race({DENSE: _turns(partial(_dense, x, transposed), matrices)}, {DENSE: 0.0})[DENSE]
        found.append(times)
        least |= times
    return found


def _works(
    paths: list[str], bucket: int, weights: list[QuantTensor], transposed: bool, dtype: torch.dtype
) -> dict[str, Callable[[], Tensor]]:
    x = _rows(bucket, weights, transposed, dtype)
    return {path: _turns(partial(_product, path, x, transposed), weights) for path in paths}


def _rows(bucket: int, weights: list[QuantTensor], transposed: bool, dtype: torch.dtype) -> Tensor:
    return torch.randn(1 << bucket, weights[0].shape[0 if transposed else 1]).to(dtype)


def _turns(work: Callable[[T], Tensor], of: list[T]) -> Callable[[], Tensor]:
    """`work` on another of these each time."""
    turns = cycle(of)
    return lambda: work(next(turns))


def _race(works: dict[str, Callable[[], Tensor]], least: dict[str, float]) -> dict[str, float]:
    """Microseconds of one call of each, the best of some spells, taken in turns.

    `least` is what each took with fewer rows: who is hopelessly behind with that does not start.
    """
    times: dict[str, float] = {}
    for path in sorted(works, key=least.__getitem__):
        if not times or least[path] < HOPELESS * min(times.values()):
            works[path]()  # wakes up
            times[path] = _spell(works[path], 0.0)
    for _ in range(ROUNDS):
        for path in times:
            if times[path] < LONG_US:
                times[path] = min(times[path], _spell(works[path], SPELL_S))
    return times


def _spell(work: Callable[[], Tensor], seconds: float) -> float:
    calls, began, passed = 0, time.perf_counter(), 0.0
    while passed < seconds or not calls:
        work()
        calls += 1
        passed = time.perf_counter() - began
    return passed / calls * 1e6


def _product(path: str, x: Tensor, transposed: bool, weight: QuantTensor) -> Tensor:
    y: Tensor = torch.ops.loralab.quant_matmul.default(x, *parts(weight), transposed, None, None, None, path)
    return y


def _dense(x: Tensor, transposed: bool, matrix: Tensor) -> Tensor:
    return x @ (matrix if transposed else matrix.t())
