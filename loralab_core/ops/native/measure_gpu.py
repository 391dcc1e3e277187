"""Which path multiplies on a GPU: what won there, measured before the first run and kept for later ones.

A product is classed by its numeric class, its direction, the size of its weight and its rows in powers of two. Until
something is measured, few rows go by `rows` and more by cuBLAS, or by integers in W4A8.
"""

import json
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from itertools import pairwise
from pathlib import Path
from statistics import median

import torch
from torch import Tensor

from loralab_core.ops.native.verdict import keep, place
from loralab_core.quant import QuantTensor, quantize

BUCKETS = 13  # rows up to 1, 2, 4 … 4096, and more
SMALL = 1 << 22  # weights at most of the smaller class
SHAPES = {True: (1024, 1024), False: (4096, 4096)}  # of the two classes, [out, in]
ROTATED = 128 << 20  # bytes of weights that take turns: more than a second cache holds
ROUNDS = 7
DENSE = "dense"
Table = dict[str, list[str]]  # class in words → a path for each bucket
Times = dict[str, list[dict[str, float]]]  # microseconds by class, bucket and path
Timer = Callable[[Callable[[], object]], float]


def words(compute: str, transposed: bool, small: bool) -> str:
    return f"{compute} {'dX' if transposed else 'forward'} {'small' if small else 'large'}"


def bucket(rows: int) -> int:
    return min((rows - 1).bit_length(), BUCKETS - 1)


def file_of(library: Path, target: str, name: str) -> Path:
    return place(library, f"{target}-{''.join(letter for letter in name if letter.isalnum())}", "paths.json")


@cache
def kept(library: Path, target: str, name: str) -> Table:
    """What was measured of these kernels on such a GPU; empty where nothing was, or the file is damaged."""
    return read(file_of(library, target, name))[0]


def read(path: Path) -> tuple[Table, Times]:
    try:
        found = json.loads(path.read_bytes())
        return {name: [*map(str, paths)] for name, paths in found["table"].items()}, found["microseconds"]
    except (OSError, ValueError, LookupError, TypeError, AttributeError):
        return {}, {}


def measure(
    device: torch.device, dtype: torch.dtype, candidates: Callable[[str, bool], list[str]], file: Path, timer: Timer
) -> tuple[Table, Times]:
    """Every candidate of each class at every size, against the dense product too. candidates(compute, transposed)."""
    table: Table = {}
    times: Times = {}
    for small, shape in SHAPES.items():
        weights = _weights(shape, device)
        dense = [weights[0].dequantize(dtype).clone() for _ in range(max(2, ROTATED // (2 * shape[0] * shape[1])))]
        for compute in ("w4a16", "w4a8"):
            for transposed in (False, True):
                name, paths = words(compute, transposed, small), candidates(compute, transposed)
                times[name] = [
                    _race(paths, 1 << number, weights, dense, transposed, dtype, timer) for number in range(BUCKETS)
                ]
                table[name] = [min(paths, key=each.__getitem__) for each in times[name]]
    keep(file, json.dumps({"table": table, "microseconds": times}).encode())
    kept.cache_clear()
    return table, times


def by_events(work: Callable[[], object]) -> float:
    """Microseconds of one call on the current GPU, the median of some."""
    work(), work()
    events = [torch.cuda.Event(enable_timing=True) for _ in range(ROUNDS + 1)]  # type: ignore[no-untyped-call]
    for event in events[:-1]:
        event.record()
        work()
    events[-1].record()
    torch.cuda.synchronize()
    return 1000 * float(median(start.elapsed_time(end) for start, end in pairwise(events)))


def _weights(shape: tuple[int, int], device: torch.device) -> list[QuantTensor]:
    weight = quantize(torch.randn(shape, device=device), "nf4")
    return [weight.to(device)] + [_copied(weight) for _ in range(max(1, ROTATED // weight.nbytes - 1))]


def _copied(weight: QuantTensor) -> QuantTensor:
    return replace(weight, codes=weight.codes.clone())


def _race(
    paths: list[str],
    rows: int,
    weights: list[QuantTensor],
    dense: list[Tensor],
    transposed: bool,
    dtype: torch.dtype,
    timer: Timer,
) -> dict[str, float]:
    """Weights take turns, so that few rows meet one that does not lie in a cache, as in a model."""
    from loralab_core.ops.quant_matmul import MULTIPLY, parts  # it asks this module

    x = torch.randn(rows, weights[0].shape[0 if transposed else 1], device=weights[0].device).to(dtype)
    turn = iter(range(1 << 60))

    def product(path: str) -> Tensor:
        weight = weights[next(turn) % len(weights)]
        y: Tensor = MULTIPLY(x, *parts(weight), transposed, None, None, None, path)
        return y

    def by_torch() -> Tensor:
        matrix = dense[next(turn) % len(dense)]
        return x @ (matrix if transposed else matrix.t())

    return {path: timer(lambda path=path: product(path)) for path in paths} | {DENSE: timer(by_torch)}  # type: ignore[misc]
