"""Every path and operator of the kernels against float64, on fresh inputs, where memory that nobody wrote is NaN.

An error is ‖y − exact‖ / ‖exact‖ as a share of what rounding explains; NaN is infinitely wrong.
"""

import os
from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Tensor

from benchmarks.gpu.rows import checked, gap
from benchmarks.gpu.sizes import Sizes
from benchmarks.parts import Row
from loralab_core.ops.dequantize import ELEMENTS
from loralab_core.ops.native import choice_gpu, gpu, trial
from loralab_core.ops.quant_matmul import parts
from loralab_core.quant import QuantTensor, quantize

FORMS = (("nf4", 64, False), ("nf4", 32, False), ("nf4", 128, False), ("int4", 128, True), ("int8", 64, False))
EXTRA = 5  # of the product of low rank
# Bytes of blocks that are poisoned, and how many of each: a large one, then ever smaller ones for what is free between
# tensors that are alive.
BLOCKS = (
    (1 << 28, 1),
    *((1 << power, 2) for power in range(26, 20, -1)),
    *((1 << power, 8) for power in range(20, 8, -1)),
)


class Worst(NamedTuple):
    share: float  # of what is allowed
    case: str


def operators(device: torch.device, sizes: Sizes) -> Iterator[Row]:
    """Of the fused ones what their self-test says; fused.py measures how far off they are."""
    yield from measure("dequantize", device, sizes)
    for one in kinds(device):
        for name in trial.FUSED:
            what = f"{name} on {named(one)}: its self-test"
            why = unusable(name, one)
            yield refused(what, why, one) if why else {"what": what, "ok": True, "note": "passed"}


def measure(name: str, device: torch.device, sizes: Sizes) -> Iterator[Row]:
    """For each kind of GPU that is here."""
    for one in kinds(device):
        what = f"{name} on {named(one)}"
        if why := unusable(name, one):
            yield refused(what, why, one)
            continue
        seed = fresh_seed()
        worst, count = check(name, one, sizes)
        yield checked(f"{what}: error, of what is allowed", worst.share, 1.0, cases=count, worst=worst.case, seed=seed)
        if name in gpu.PATHS and one.type == "cuda":
            yield checked(f"{what}: numbers that differ when replayed from a graph", replayed(name, one), 0.0)


def refused(what: str, why: str, device: torch.device) -> Row:
    """No fault where there is no compiler or the chip is not meant; one where a kernel failed its self-test."""
    found = gpu.native_gpu(device.index)
    return gap(what, why) | {"ok": found.library is None or "not for chips" in why}


def fresh_seed() -> int:
    seed = int.from_bytes(os.urandom(4), "little")
    torch.manual_seed(seed)
    return seed


def kinds(device: torch.device) -> list[torch.device]:
    """Each GPU whose name no earlier one has."""
    if device.type != "cuda":
        return [device]
    names = [torch.cuda.get_device_name(number) for number in range(torch.cuda.device_count())]
    return [torch.device("cuda", names.index(name)) for name in dict.fromkeys(names)]


def named(device: torch.device) -> str:
    return torch.cuda.get_device_name(device) if device.type == "cuda" else str(device)


def unusable(name: str, device: torch.device) -> str:
    """Why this GPU has no such path or operator; empty where it has."""
    if device.type != "cuda":
        return ""
    found = gpu.native_gpu(device.index)
    if name in (*found.paths, *found.operators):
        return ""
    oldest, newest = gpu.PATHS.get(name, (gpu.OLDEST, gpu.ANY))
    if not oldest <= found.capability <= newest:
        return f"it is not for chips of compute capability {'.'.join(map(str, found.capability))}"
    return next((note for note in found.notes if name in note or not found.library), "it is switched off")


def check(name: str, device: torch.device, sizes: Sizes) -> tuple[Worst, int]:
    """The worst of all cases, and how many there were."""
    found = list(_dequantised(device, sizes) if name == "dequantize" else _products(name, device, sizes))
    return max(found, key=lambda each: each.share), len(found)


def _dequantised(device: torch.device, sizes: Sizes) -> Iterator[Worst]:
    for weight in weights(device, sizes):
        exact = weight.to("cpu").dequantize(torch.float64)
        for number, dtype in enumerate(ELEMENTS):
            for first in (0, weight.shape[0] // 3):
                poison(device)
                dense = torch.ops.loralab.dequantize(*parts(weight), first, weight.shape[0], number)
                share = error(dense, exact[first:]) / trial.TOLERANCE[dtype]
                yield Worst(share, f"{words(weight)}, rows from {first} on, {dtype}")


def _products(path: str, device: torch.device, sizes: Sizes) -> Iterator[Worst]:
    for weight in weights(device, sizes):
        exact = weight.to("cpu").dequantize(torch.float64)
        for dtype in trial.TOLERANCE:
            for transposed in (False, True):
                columns = weight.shape[1 if transposed else 0]
                if takes(path, dtype, weight, columns, transposed, device):
                    for rows in sizes.tested_rows:
                        share = _product(path, weight, exact, rows, transposed, dtype)
                        direction = "x·W" if transposed else "x·Wᵀ"
                        yield Worst(share, f"{words(weight)}, {rows} rows, {direction}, {dtype}")


def takes(
    path: str, dtype: torch.dtype, weight: QuantTensor, columns: int, transposed: bool, device: torch.device
) -> bool:
    capability = torch.cuda.get_device_capability(device) if device.type == "cuda" else (9, 0)
    return choice_gpu.can_multiply(path, dtype, weight.codebook is None, columns, transposed, capability)


def _product(path: str, weight: QuantTensor, dense: Tensor, rows: int, transposed: bool, dtype: torch.dtype) -> float:
    """`dense`: the weight in float64, on the CPU: no GPU takes part in what it is compared with."""
    device = weight.device
    inner, columns = weight.shape if transposed else weight.shape[::-1]
    x = torch.randn(rows, inner, device=device).to(dtype)
    left, right = torch.randn(rows, EXTRA, device=device), torch.randn(columns, EXTRA, device=device)
    bias = None if path == "fp8" else torch.randn(columns, device=device)
    poison(device)
    y = torch.ops.loralab.quant_matmul(x, *parts(weight), transposed, left, right, bias, path)
    exact = x.double().cpu() @ (dense if transposed else dense.t()) + (left.double() @ right.double().t()).cpu()
    exact = exact if bias is None else exact + bias.double().cpu()
    return error(y, exact) / max(trial.TOLERANCE[dtype], trial.COARSE.get(path, 0))


def replayed(path: str, device: torch.device) -> float:
    """Of a product captured into a graph and replayed on other numbers: how many differ from the product itself."""
    weight = quantize(torch.randn(256, 512, device=device), "nf4")
    x, other = (torch.randn(24 if path != "rows" else 5, 512, device=device).half() for _ in range(2))
    if path == "fp8":
        x, other = x.bfloat16(), other.bfloat16()

    def product() -> Tensor:
        y: Tensor = torch.ops.loralab.quant_matmul(x, *parts(weight), False, None, None, None, path)
        return y

    side = torch.cuda.Stream(device)
    side.wait_stream(torch.cuda.current_stream(device))
    with torch.cuda.device(device), torch.cuda.stream(side):
        product()
    torch.cuda.current_stream(device).wait_stream(side)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.device(device), torch.cuda.graph(graph, stream=side):
        y = product()
    x.copy_(other)
    y.fill_(float("nan"))
    graph.replay()
    return float((y != product()).sum())


def weights(device: torch.device, sizes: Sizes) -> Iterator[QuantTensor]:
    for shape in sizes.tested:
        for kind, group, zero_points in FORMS:
            yield quantize(torch.randn(*shape, device=device), kind, group, zero_points=zero_points)  # type: ignore[arg-type]


def poison(device: torch.device) -> None:
    """Let what the allocator hands out next be NaN in every type of float, and −1 in every integer.

    PyTorch keeps freed memory and gives it out again as it was, small pieces from one pool and large from another.
    """
    if device.type != "cuda":
        return
    torch.cuda.empty_cache()
    sizes = [size for size, count in BLOCKS for _ in range(count)]
    held = [torch.full((size,), 0xFF, dtype=torch.uint8, device=device) for size in sizes]
    held.clear()


def error(y: Tensor, exact: Tensor) -> float:
    share = float((y.double().cpu() - exact).norm() / exact.norm())
    return share if share == share else float("inf")


def words(weight: QuantTensor) -> str:
    zeros = " with zero-points" if weight.zeros is not None else ""
    return f"{weight.kind}{zeros} {weight.shape[0]} x {weight.shape[1]}, groups of {weight.group}"
