"""Which path multiplies: a table of what won here, looked up for every product.

A product is classed by its direction, the size of its weight, x's type, the numeric class, and its rows in powers of
two. The table is measured once and kept (`measure`); until then a fixed one holds, which the instruction set decides.
A run records its table, and resuming uses the recorded one: another path would change the last digit.
"""

import os
from collections.abc import Mapping

import torch

from loralab_core.ops.native.build import Say, say_on_stderr
from loralab_core.ops.native.library import Native, native

SIZES = {"small": 1 << 21, "large": 1 << 62}  # weights at most
TYPES = {torch.float32: "float32", torch.bfloat16: "bf16"}
BUCKETS = 11  # rows up to 1, 2, 4 … 1024, and more
SLOW = ("reference", "portable")  # PyTorch's own products are the better ones as soon as there are some rows
FEW = {"avx512": 4}  # the bucket of 16 rows; of 8 elsewhere
Class = tuple[str, torch.dtype, bool, bool]  # numeric class, x's type, transposed, small
Table = dict[str, list[str]]  # by the class in words, a path for each bucket

_paths: dict[Class, list[str]] | None = None


def choose(rows: int, out: int, width: int, transposed: bool, compute: str, dtype: torch.dtype) -> str | None:
    """The path for x [rows, …] and a weight [out, width]; None where the reference runs. Takes about a microsecond."""
    table = _paths if _paths is not None else _read()
    paths = table.get((compute, dtype, transposed, out * width <= SIZES["small"]))
    return paths[min((rows - 1).bit_length(), BUCKETS - 1)] if paths and rows else None


def use_table(table: Mapping[str, list[str]] | None) -> None:
    """From here on in this process; None: what is measured or fixed. What the kernels do not have is left out."""
    global _paths
    _paths = None if table is None else _indexed(table, native())


def settle(recorded: Mapping[str, list[str]] | None, say: Say = say_on_stderr, *, worth: bool = True) -> None:
    """Before a run: its recorded table, or the measured one.

    If none ever was it is measured now, but for a run that is not `worth` it and with LORALAB_MEASURE=0.
    """
    from loralab_core.ops.native.measure import kept, measure

    active = native(say)
    if (
        worth
        and not recorded
        and active.isa not in SLOW
        and os.environ.get("LORALAB_MEASURE") != "0"
        and not kept(active)
    ):
        say("measuring which kernel is the fastest at which size, once; ten seconds at most")
        measure(active)
    use_table(recorded or None)


def table_in_use() -> Table:
    """By class in words. Empty where the reference runs."""
    table = _paths if _paths is not None else _read()
    return {words(*key): list(paths) for key, paths in table.items()}


def words(compute: str, dtype: torch.dtype, transposed: bool, small: bool) -> str:
    direction, size = "dX" if transposed else "forward", "small" if small else "large"
    return f"{compute} {TYPES[dtype]} {direction} {size}"


def classes() -> dict[str, Class]:
    return {
        words(*key): key
        for compute in ("w4a16", "w4a8")
        for dtype in TYPES
        for transposed in (False, True)
        for small in (True, False)
        if (key := (compute, dtype, transposed, small))
    }


def candidates(active: Native, compute: str, dtype: torch.dtype, transposed: bool) -> list[str]:
    """Paths of one numeric class: all of them round x and the weight to no less than x's own type, or 8 bits in w4a8.

    By rows there is nothing to gain where the weight is transposed: its codes follow one another along y.
    """
    if compute == "w4a8" and "int8" in active.paths:
        return ["int8"] if transposed or "rows" not in active.paths else ["rows", "int8"]
    own = ["rows", "float32"] if dtype == torch.float32 else ["rows", "float32", "bf16"]
    torchs = ["gemm"] if dtype == torch.float32 else ["gemm", "gemm32"]
    return [path for path in own[transposed:] if path in active.paths] + torchs


def fixed(active: Native) -> Table:
    """What holds until something is measured: the same on every computer of an instruction set."""
    return {name: _fixed(active, *key[:3]) for name, key in classes().items()}


def _fixed(active: Native, compute: str, dtype: torch.dtype, transposed: bool) -> list[str]:
    able = candidates(active, compute, dtype, transposed)
    few = FEW.get(active.isa, 3) + 1
    if "int8" in able:
        return able[:1] * few + able[-1:] * (BUCKETS - few)
    own = active.isa not in SLOW
    order = ("bf16", "float32", "gemm", "gemm32") if own and dtype == torch.bfloat16 else ("float32", "gemm")
    many = next(path for path in order if path in able) if own else ("gemm" if dtype == torch.float32 else "gemm32")
    return ["rows" if "rows" in able else many] * few + [many] * (BUCKETS - few)


def _read() -> dict[Class, list[str]]:
    from loralab_core.ops.native.measure import kept

    global _paths
    active = native()
    _paths = {} if active.library is None else _indexed(kept(active) or fixed(active), active)
    return _paths


def _indexed(table: Mapping[str, list[str]], active: Native) -> dict[Class, list[str]]:
    """A table, from whatever file, with LORALAB_PATH before it; paths that are not to be had are replaced."""
    forced, indexed = os.environ.get("LORALAB_PATH"), dict[Class, list[str]]()
    for name, key in classes().items():
        able, spare = candidates(active, *key[:3]), _fixed(active, *key[:3])
        wanted = [forced] * BUCKETS if forced else list(table.get(name, spare))
        wanted += spare[len(wanted) :]
        indexed[key] = [path if path in able else other for path, other in zip(wanted, spare, strict=False)]
    return indexed
