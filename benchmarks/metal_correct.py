"""Whether the Metal kernels compile and are right: fresh random inputs, poisoned outputs, sums in float64."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from benchmarks.parts import Row, attempt
from loralab_core.ops.elementwise import ACTIVATIONS
from loralab_core.ops.metal import check, elementwise
from loralab_core.ops.metal.dequantize import dequantize_to, weight_arguments
from loralab_core.ops.metal.launch import NAMES, Kernels
from loralab_core.ops.metal.products import quant_matmul
from loralab_core.ops.metal.source import FILES, source
from loralab_core.ops.quant_matmul import parts
from loralab_core.quant import QuantTensor, quantize

SHAPES = [(1, 1), (37, 75), (64, 256), (130, 333)]  # [out, in]
ROWS = {"rows": (1, 3, 8), "tiles": (1, 33, 100), "gemm": (5,)}
WAYS = {"rows": ("forward",), "tiles": ("forward", "dX"), "gemm": ("forward", "dX")}
KINDS = [("nf4", 32, False), ("nf4", 64, False), ("int4", 128, False), ("int4", 64, True), ("int8", 64, False)]
ALLOWED = 1e-3  # of the norm, beside what the type of a result rounds
ROUNDING = {torch.float32: 2.0**-23, torch.float16: 2.0**-11, torch.bfloat16: 2.0**-8}


def compiled(compile_shader: Callable[[str], Any]) -> Iterator[Row]:
    """Seconds of each file."""

    def one(file: str) -> Row:
        began = time.monotonic()
        library = compile_shader(source(file))
        return {"value": round(time.monotonic() - began, 3), "unit": "s", "kernels": len(dir(library))}

    for file in FILES:
        yield attempt(f"{file}.metal", partial(one, file))


def self_test(kernels: Kernels, device: torch.device) -> Iterator[Row]:
    """The one of every process, and 8-bit AdamW's codes with it."""
    wrong = check.failures(kernels, device)
    for name in check.TESTS:
        yield {"what": name, "ok": False, "why": wrong[name]} if name in wrong else {"what": name, "ok": True}


def against_float64(kernels: Kernels, device: torch.device, seed: int) -> Iterator[Row]:
    """The largest error of each kernel and type over all shapes."""
    torch.manual_seed(seed)
    yield {"what": "seed of the inputs", "value": seed, "unit": ""}
    for dtype in NAMES:
        cases = {
            **{f"{path} {way}": partial(_products, path, way) for path in ROWS for way in WAYS[path]},
            "dequantise": _dense,
            "RMSNorm": _norms,
            "rotary": _turns,
            "gates": _gates,
            "loss": _losses,
        }
        for name, case in cases.items():
            yield attempt(f"{name} {NAMES[dtype]}", partial(_judged, case, kernels, device, dtype))


def _judged(case: Callable[..., Iterator[tuple[Tensor, Tensor]]], *how: Any) -> Row:
    with poisoned(how[1]):
        worst = max(_error(ours, expected) for ours, expected in case(*how))
    allowed = ALLOWED + 2 * ROUNDING[how[2]]
    return {"value": worst, "unit": "relative", "allowed": allowed, "ok": worst <= allowed}


def _error(ours: Tensor, expected: Tensor) -> float:
    found = float((ours.detach().cpu().double() - expected).norm() / expected.norm().clamp_min(1e-12))
    return found if found == found else float("inf")


@contextmanager
def poisoned(device: torch.device) -> Iterator[None]:
    """Memory that nobody filled is NaN. RuntimeError where this torch does not do so."""
    before = torch.are_deterministic_algorithms_enabled()
    torch.use_deterministic_algorithms(True, warn_only=True)
    try:
        if not torch.empty(64, device=device).isnan().all():
            raise RuntimeError("this torch does not poison memory on this device")
        yield
    finally:
        torch.use_deterministic_algorithms(before)


def exact(weight: QuantTensor) -> Tensor:
    """float64 [out, in], by the format's formula."""
    out, width = weight.shape
    if weight.codebook is None or weight.steps is None:
        return weight.codes.double() * weight.scales.double()[:, None]
    codes = torch.stack([weight.codes >> 4, weight.codes & 15], -1).flatten(1).long()
    values = weight.codebook.double()[codes].view(out, -1, weight.group)
    if weight.zeros is not None:
        values = values - weight.zeros.double()[..., None]
    steps = weight.steps.double().repeat_interleave(16, 0)[:out]
    scales = steps[:, 1:] + steps[:, :1] * weight.scales.double()
    return (values * scales[..., None]).flatten(1)[:, :width]


def _weights() -> Iterator[QuantTensor]:
    for shape in SHAPES:
        for kind, group, zero_points in KINDS:
            yield quantize(torch.randn(shape), kind, group, zero_points=zero_points)  # type: ignore[arg-type]


def _products(
    path: str, way: str, kernels: Kernels, device: torch.device, dtype: torch.dtype
) -> Iterator[tuple[Tensor, Tensor]]:
    for weight in _weights():
        dense = exact(weight) if way == "dX" else exact(weight).t()
        inner, columns = dense.shape
        for rows in ROWS[path]:
            x, left, right = torch.randn(rows, inner).to(dtype), torch.randn(rows, 4), torch.randn(columns, 4)
            bias = torch.randn(columns)
            packed, addend = parts(weight.to(device)), [each.to(device) for each in (left, right, bias)]
            y = quant_matmul(kernels, x.to(device), *packed, way == "dX", *addend, path)
            yield y, x.double() @ dense + left.double() @ right.double().t() + bias.double()


def _dense(kernels: Kernels, device: torch.device, dtype: torch.dtype) -> Iterator[tuple[Tensor, Tensor]]:
    for weight in _weights():
        dense = torch.empty(weight.shape, dtype=dtype, device=device)
        dequantize_to(kernels, dense, weight_arguments(*parts(weight.to(device))), 0, weight.shape[0])
        yield dense, exact(weight)


def _norms(kernels: Kernels, device: torch.device, dtype: torch.dtype) -> Iterator[tuple[Tensor, Tensor]]:
    for rows, width in ((1, 64), (5, 333), (3, 4096)):
        x, dy, gain = (torch.randn(*shape).to(dtype) for shape in ((rows, width), (rows, width), (width,)))
        wide = x.double().requires_grad_()
        expected = F.rms_norm(wide, (width,), gain.double(), 1e-6)
        expected.backward(dy.double())
        there = [each.to(device) for each in (dy, x, gain)]
        y, scale = elementwise.rms_norm(kernels, there[1], there[2], 1e-6, 0.0)
        yield y, expected.detach()
        assert wide.grad is not None
        yield elementwise.rms_norm_backward(kernels, *there, scale, 0.0), wide.grad


def _turns(kernels: Kernels, device: torch.device, dtype: torch.dtype) -> Iterator[tuple[Tensor, Tensor]]:
    for width, pairs in ((64, 32), (80, 20)):
        x, angle = torch.randn(2, 7, 3, width).to(dtype), torch.randn(1, 7, 1, pairs)
        cos, sin = angle.cos(), angle.sin()
        left, right, rest = x.double().tensor_split((pairs, 2 * pairs), -1)
        for s in (sin, -sin):
            turned = torch.cat([left * cos - right * s, right * cos + left * s, rest], -1)
            y = elementwise.rotary(kernels, x.to(device), cos.to(device), sin.to(device), s is not sin)
            yield y, turned


def _gates(kernels: Kernels, device: torch.device, dtype: torch.dtype) -> Iterator[tuple[Tensor, Tensor]]:
    for activation in elementwise.ACTIVATIONS:
        both, dy = (3 * torch.randn(5, 2 * 333)).to(dtype), torch.randn(5, 333).to(dtype)
        wide = [each.double().requires_grad_() for each in both.chunk(2, -1)]
        expected = ACTIVATIONS[activation](wide[0]) * wide[1]
        expected.backward(dy.double())
        there = both.to(device).chunk(2, -1)
        yield elementwise.gated(kernels, *there, activation), expected.detach()
        ours = elementwise.gated_backward(kernels, dy.to(device), *there, activation)
        yield from ((each, other.grad) for each, other in zip(ours, wide, strict=True) if other.grad is not None)


def _losses(kernels: Kernels, device: torch.device, dtype: torch.dtype) -> Iterator[tuple[Tensor, Tensor]]:
    for rows, width in ((3, 100), (2, 32003)):
        logits, labels = (5 * torch.randn(rows, width)).to(dtype), torch.randint(width, (rows,))
        wide = logits.double().requires_grad_()
        loss = F.cross_entropy(wide, labels, reduction="sum")
        loss.backward()
        there = logits.to(device)
        yield elementwise.softmax_loss(kernels, there, labels.to(device), 1.0), loss.detach()
        assert wide.grad is not None
        yield there, wide.grad
