"""Dequantisation, the matvec of one token and the products of a training layer, each against its ceiling in one run."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from typing import Any

import torch
from torch import Tensor

from benchmarks.gpu import correct
from benchmarks.gpu.box import bandwidth, copy
from benchmarks.gpu.half import half, name_of
from benchmarks.gpu.rows import checked, figure, gap
from benchmarks.gpu.sizes import Sizes
from benchmarks.gpu.timing import Time, race
from benchmarks.parts import Row
from loralab_core.ops.dequantize import ELEMENTS
from loralab_core.ops.native.gpu import PATHS
from loralab_core.ops.quant_matmul import parts
from loralab_core.quant import QuantTensor, quantize

DENSE = "dense"
W4A8 = ("int8", "fp8")
W4A16 = tuple(path for path in PATHS if path not in ("rows", *W4A8))
ALLOWED = {"int8": 0.015, "fp8": 0.045}  # relative error on Gaussian inputs

Found = tuple[float, dict[str, Any]] | str  # times as fast, and what from; or why there is none


def dequantisation(device: torch.device, sizes: Sizes) -> Iterator[Row]:
    """Bytes are those of the 4-bit form, read, and of 16-bit numbers, written."""
    label = f"NF4 {_shape(sizes.matrix)} to {name_of(device)}, of the copy"
    if why := correct.unusable("dequantize", device):
        yield gap(label, why, must=0.8, reach=0.9)
        return
    packed = cold(sizes.matrix, device, sizes)
    rows = sizes.matrix[0]
    element = ELEMENTS.index(half(device))
    works = [partial(torch.ops.loralab.dequantize, *parts(each), 0, rows, element) for each in packed]
    moved = packed[0].nbytes + 2 * rows * sizes.matrix[1]
    yield from _of_the_copy(label, works, moved, device, sizes)


def matvec(device: torch.device, sizes: Sizes) -> Iterator[Row]:
    """One row of x; weights take turns, so that each is read from memory. Bytes are those of the 4-bit form."""
    label = f"one row by NF4 {_shape(sizes.matrix)}, of the copy"
    if why := correct.unusable("rows", device):
        yield gap(label, why, must=0.8, reach=0.9)
        return
    packed = cold(sizes.matrix, device, sizes)
    x = torch.randn(1, sizes.matrix[1], device=device, dtype=half(device))
    works = [partial(product, x, each, False, "rows") for each in packed]
    moved = packed[0].nbytes + 2 * sum(sizes.matrix)
    yield from _of_the_copy(label, works, moved, device, sizes)


def _of_the_copy(
    label: str, works: list[Callable[[], Tensor]], moved: int, device: torch.device, sizes: Sizes
) -> Iterator[Row]:
    times = race({"ours": works, "copy": [copy(device, sizes.copied)]}, device, sizes.seconds)
    copied = bandwidth(times["copy"].median, sizes.copied)
    ours = moved / times["ours"].median / 1e3
    facts = _facts(times) | {"bytes": moved, "GB/s": ours, "copy GB/s": copied, "weights in turn": len(works)}
    yield figure(label, ours / copied, must=0.8, reach=0.9, **facts)


def w4a16(device: torch.device, sizes: Sizes) -> Iterator[Row]:
    """The bounds are for the better of the paths, since one of them is chosen."""
    for rows, direction, ratios in _against_dense(W4A16, device, sizes):
        yield from (_row(path, rows, direction, found, name_of(device)) for path, found in ratios.items())
        able = {path: found for path, found in ratios.items() if not isinstance(found, str)}
        if rows == sizes.many[0]:
            best = max(able, key=lambda path: able[path][0], default="")
            label, how = f"W4A16 {direction}, the better of them, of {name_of(device)}", {"must": 0.9, "reach": 1.0}
            if best:
                yield figure(label, able[best][0], "×", path=best, **how)
            else:
                yield gap(label, "none of the paths can be used", **how)


def w4a8(device: torch.device, sizes: Sizes) -> Iterator[Row]:
    for rows, direction, ratios in _against_dense(W4A8, device, sizes):
        for path, found in ratios.items():
            bounds = {"must": 1.3, "reach": 1.7} if rows == sizes.many[0] else {}
            yield _row(path, rows, direction, found, name_of(device), **bounds)
            if not isinstance(found, str) and rows == sizes.many[0]:
                name = f"{path} {direction}: relative error on Gaussian inputs"
                yield checked(name, found[1]["error"], ALLOWED[path])


def _row(path: str, rows: int, direction: str, found: Found, dense: str, **bounds: float) -> Row:
    label = f"{path} {direction}, {rows} rows, of {dense}"
    if isinstance(found, str):
        return gap(label, found, **bounds)
    return figure(label, found[0], "×", **bounds, **found[1])


def _against_dense(
    paths: tuple[str, ...], device: torch.device, sizes: Sizes
) -> Iterator[tuple[int, str, dict[str, Found]]]:
    """Rows, direction and each path's rate as a multiple of the dense product's, whose weights take turns too."""
    side, dtype = sizes.square, half(device)
    packed = cold((side, side), device, sizes)
    dense = [each.dequantize(dtype) for each in packed[: max(2, len(packed) // 4)]]
    missing = {path: why for path in paths if (why := correct.unusable(path, device))}
    for rows in sizes.many:
        x = torch.randn(rows, side, device=device).to(dtype)
        for transposed in (False, True):
            works = {DENSE: [partial(torch.matmul, x, each if transposed else each.t()) for each in dense]}
            for path in (path for path in paths if path not in missing):
                works[path] = [partial(product, x, each, transposed, path) for each in packed[: len(dense)]]
            times = race(works, device, sizes.seconds)
            found: dict[str, Found] = dict(missing)
            for path in works.keys() - {DENSE}:
                facts = _facts(times) | {"TFLOP/s": 2 * rows * side * side / times[path].median / 1e6}
                facts["error"] = relative_error(path, x, packed[0], transposed)
                found[path] = (times[DENSE].median / times[path].median, facts)
            yield rows, f"{side}² {'dX' if transposed else 'forward'}", {path: found[path] for path in paths}


def relative_error(path: str, x: Tensor, weight: QuantTensor, transposed: bool) -> float:
    """Of Gaussian inputs, against float64 of the same weight; some rows of x stand for all."""
    some = x[:256]
    dense = weight.dequantize(torch.float64)
    exact = some.double() @ (dense if transposed else dense.t())
    correct.poison(x.device)
    return correct.error(product(some, weight, transposed, path), exact.cpu())


def product(x: Tensor, weight: QuantTensor, transposed: bool, path: str) -> Tensor:
    y: Tensor = torch.ops.loralab.quant_matmul.default(x, *parts(weight), transposed, None, None, None, path)
    return y


def cold(shape: tuple[int, int], device: torch.device, sizes: Sizes) -> list[QuantTensor]:
    """NF4 weights that take turns, together larger than a second cache."""
    one = quantize(torch.randn(*shape, device=device) / 50, "nf4")
    count = max(2, sizes.cold // one.nbytes)
    return [replace(one, codes=one.codes.clone(), scales=one.scales.clone()) for _ in range(count)]


def _facts(times: dict[str, Time]) -> dict[str, Any]:
    return {name: time.facts() for name, time in times.items()}


def _shape(shape: tuple[int, int]) -> str:
    return f"{shape[0]} x {shape[1]}"
