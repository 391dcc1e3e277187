"""Which path multiplies on a GPU: what won there where that was measured, what is fixed elsewhere.

A run keeps to the paths it began with. LORALAB_PATH asks for one path wherever it can multiply, LORALAB_MEASURE=0
leaves out the measurement before the first run.
"""

import os
from collections.abc import Mapping
from functools import cache

import torch

from loralab_core.errors import LoraLabError
from loralab_core.ops.native.build import Say, say_on_stderr
from loralab_core.ops.native.gpu import BF16, NativeGpu, native_gpu
from loralab_core.ops.native.measure_gpu import (
    BUCKETS,
    SMALL,
    Table,
    Times,
    bucket,
    by_events,
    file_of,
    kept,
    measure,
    words,
)

FEW = 16  # rows for which every code is read once
_recorded: dict[int, Table] = {}  # of the run under way, by the number of the GPU


def settle(number: int, recorded: Mapping[str, list[str]] | None, say: Say = say_on_stderr, worth: bool = True) -> None:
    """Before a run: its recorded table, or the measured one.

    If none ever was it is measured now, but for a run that is not `worth` it.
    """
    active = native_gpu(number)
    if worth and not recorded and active.library and os.environ.get("LORALAB_MEASURE") != "0" and not _kept(active):
        say(f"{active.name}: measuring which kernel is the fastest at which size, once; some seconds")
        measure_gpu(number)
    use_table(number, recorded)


def use_table(number: int, recorded: Mapping[str, list[str]] | None) -> None:
    """Of a run; None: what was measured here."""
    _recorded.pop(number, None)
    if recorded:
        _recorded[number] = dict(recorded)
    _choices.cache_clear()


def table_in_use(number: int) -> Table:
    """By class in words. Empty where nothing was measured."""
    return _recorded.get(number) or _kept(native_gpu(number))


def _kept(active: NativeGpu) -> Table:
    return kept(active.library, active.target, active.name) if active.library else {}


def choose_on_gpu(x: torch.Tensor, shape: tuple[int, int], int8: bool, transposed: bool, compute: str) -> str | None:
    """The path for x [rows, …] and a weight of `shape`, which is 8-bit where `int8`; None: the reference."""
    small, columns = shape[0] * shape[1] <= SMALL, shape[1 if transposed else 0]
    return _choices(x.device.index, x.dtype, int8, columns % 16 == 0, small, transposed, compute)[bucket(x.shape[0])]


@cache
def _choices(
    number: int, dtype: torch.dtype, int8: bool, sixteens: bool, small: bool, transposed: bool, compute: str
) -> list[str | None]:
    """By bucket of rows: what won here, where that was measured and can multiply these; else what is fixed."""
    active = native_gpu(number)
    able = candidates(active, dtype, int8, 16 if sixteens else 1, transposed, compute)
    forced = os.environ.get("LORALAB_PATH")
    won = table_in_use(number).get(words(compute, transposed, small), [])
    found: list[str | None] = []
    for each in range(BUCKETS):
        fixed = (["rows"] if 1 << each <= FEW else []) + (["int8"] if compute == "w4a8" else []) + ["gemm"]
        order = [*([forced] if forced else []), *won[each : each + 1], *fixed]
        found.append(next((path for path in order if path in able), None))
    return found


def candidates(
    active: NativeGpu, dtype: torch.dtype, int8: bool, columns: int, transposed: bool, compute: str
) -> list[str]:
    """What may multiply in a numeric class. In float8 only who asks for it: it is four times as far off."""
    asked = os.environ.get("LORALAB_PATH")
    classes = {"int8": ("w4a8",), "fp8": ("w4a8",) if asked == "fp8" else ()}
    return [
        path
        for path in active.paths
        if compute in classes.get(path, ("w4a16", "w4a8"))
        and can_multiply(path, dtype, int8, columns, transposed, active.capability)
    ]


def measure_gpu(number: int) -> tuple[Table, Times]:
    """Measured now, in some seconds, and kept for later processes. Raises LoraLabError where nothing is compiled."""
    active = native_gpu(number)
    if active.library is None:
        raise LoraLabError(f"{active.name} has no compiled kernels to measure")
    dtype = torch.bfloat16 if active.capability >= BF16 else torch.float16

    def able(compute: str, transposed: bool) -> list[str]:
        return candidates(active, dtype, False, 16, transposed, compute)

    with torch.cuda.device(number):
        file = file_of(active.library, active.target, active.name)
        found = measure(torch.device("cuda", number), dtype, able, file, by_events)
    _choices.cache_clear()
    return found


def can_multiply(
    path: str, dtype: torch.dtype, int8: bool, columns: int, transposed: bool, capability: tuple[int, int]
) -> bool:
    """Whether a path takes x of this type, a weight of 8 bits, so many columns of y, the transpose."""
    if path == "gemm":
        return True
    if dtype == torch.float32 or (dtype == torch.bfloat16 and capability < BF16):
        return False
    if path == "fp8":
        return dtype == torch.bfloat16 and columns % 16 == 0
    return not transposed if path == "rows" else path == "int8" or not int8
