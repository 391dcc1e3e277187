"""Products with a quantised matrix: one operator for both directions, and its readable reference.

    y = x·Wᵀ (or x·W where transposed) + left·rightᵀ + bias

`left·rightᵀ` is a product of low rank, such as that of a LoRA branch: it joins in the float32 accumulator and y is
rounded once. Compiled kernels register beside the reference, for the devices they run on.
"""

from collections.abc import Iterator
from typing import Any, Literal

import torch
from torch import Tensor

from loralab_core.ops.library import LIBRARY
from loralab_core.ops.metal.library import metal
from loralab_core.ops.native.choice import choose
from loralab_core.ops.native.choice_gpu import choose_on_gpu
from loralab_core.quant.tensor import Kind, QuantTensor

Numerics = Literal["w4a16", "w4a8"]  # of one product
Compute = Literal["auto", "w4a16", "w4a8-grad", "w4a8"]  # of a layer, both ways

WEIGHT = "Tensor codes, Tensor scales, Tensor? steps, Tensor? codebook, Tensor? zeros, int width, int group"
LIBRARY.define(  # type: ignore[no-untyped-call]
    f"quant_matmul(Tensor x, {WEIGHT}, bool transposed, Tensor? left, Tensor? right, Tensor? bias, str path) -> Tensor"
)
MULTIPLY = torch.ops.loralab.quant_matmul.default  # looked up once: Python is a twentieth of a small product
SLAB = 1 << 20  # values of a weight that are dense at a time: they stay in the cache
ALIGNED = 128  # a multiple of every group and of the rows that share the steps of their scales

Parts = tuple[Tensor, Tensor, Tensor | None, Tensor | None, Tensor | None, int, int]


def parts(weight: QuantTensor) -> Parts:
    """A quantised matrix as the arguments of an operator."""
    return (
        *(weight.codes, weight.scales, weight.steps, weight.codebook, weight.zeros),
        *(weight.shape[1], weight.group),
    )


def assembled(
    codes: Tensor,
    scales: Tensor,
    steps: Tensor | None,
    codebook: Tensor | None,
    zeros: Tensor | None,
    width: int,
    group: int,
) -> QuantTensor:
    """The matrix that `parts` took apart. Its kind is told by its codebook: none of INT8, the table of all others."""
    kind: Kind = "int8" if codebook is None else "nf4"  # the table says the rest
    return QuantTensor(kind, (len(codes), width), group, codes, scales, steps, codebook, zeros)


def forward_compute(asked: Compute) -> Numerics:
    """Of x·Wᵀ."""
    return "w4a8" if asked == "w4a8" else "w4a16"


def gradient_compute(asked: Compute) -> Numerics:
    """Of dy·W."""
    return "w4a8" if asked in ("w4a8", "w4a8-grad") else "w4a16"


def quant_matmul(
    x: Tensor,
    weight: QuantTensor,
    *,
    transposed: bool = False,
    left: Tensor | None = None,
    right: Tensor | None = None,
    bias: Tensor | None = None,
    compute: Numerics = "w4a16",
) -> Tensor:
    """x [rows, in] → [rows, out], or [rows, out] → [rows, in] where `transposed`; in x's dtype. No autograd.

    left [rows, extra], right [columns of y, extra] and bias [columns of y] are float32. compute: with activations as
    they are, or rounded to 8 bits. The path that won on this device multiplies (loralab_core/ops/native).
    """
    path = path_of(x, weight, transposed, compute)
    if path is None:
        return reference(x, weight, transposed, left, right, bias)
    if x.is_cpu:  # GPUs' kernels take these in any type
        if left is not None and right is not None:
            left, right = left.float().contiguous(), right.float().contiguous()
        bias = None if bias is None else bias.float().contiguous()
    y: Tensor = MULTIPLY(x, *parts(weight), transposed, left, right, bias, path)
    return y


def path_of(x: Tensor, weight: QuantTensor, transposed: bool, compute: Numerics) -> str | None:
    """What multiplies on x's device; None where the reference does."""
    if x.is_cpu:
        return choose(x.shape[0], *weight.shape, transposed, compute, x.dtype)
    if x.is_cuda:
        return choose_on_gpu(x, weight.shape, weight.codebook is None, transposed, compute)
    return metal().path(x.shape[0], transposed, x.dtype) if x.is_mps else None


def reference(
    x: Tensor, weight: QuantTensor, transposed: bool, left: Tensor | None, right: Tensor | None, bias: Tensor | None
) -> Tensor:
    """The same by PyTorch: the weight dense in x's precision, a slab of y's columns at a time."""
    y = torch.zeros(len(x), weight.shape[1 if transposed else 0], dtype=x.dtype, device=x.device)
    if left is not None and right is not None:
        exact = torch.promote_types(left.dtype, right.dtype)
        y = (left.to(exact) @ right.to(exact).t()).to(x.dtype)
    if bias is not None:
        y += bias
    for start, stop, dense in slabs(weight, transposed, x.dtype):
        y[:, start:stop].addmm_(x, dense)
    return y


def slabs(weight: QuantTensor, transposed: bool, dtype: torch.dtype) -> Iterator[tuple[int, int, Tensor]]:
    """start, stop, and what x is multiplied by for those columns of y: dense [rows of Wᵀ or W, stop − start]."""
    inner, columns = weight.shape if transposed else reversed(weight.shape)
    width = max(1, SLAB // inner // ALIGNED) * ALIGNED
    for start in range(0, columns, width):
        stop = min(start + width, columns)
        part = weight.columns(start, stop) if transposed else weight.rows(start, stop)
        dense = part.dequantize(dtype)
        yield start, stop, dense if transposed else dense.t()


def _composite(
    x: Tensor,
    codes: Tensor,
    scales: Tensor,
    steps: Tensor | None,
    codebook: Tensor | None,
    zeros: Tensor | None,
    width: int,
    group: int,
    transposed: bool,
    left: Tensor | None,
    right: Tensor | None,
    bias: Tensor | None,
    path: str,
) -> Tensor:
    weight = assembled(codes, scales, steps, codebook, zeros, width, group)
    return reference(x, weight, transposed, left, right, bias)


def _fake(x: Tensor, codes: Tensor, *arguments: Any) -> Tensor:
    width, transposed = arguments[4], arguments[6]
    return x.new_empty(x.shape[0], width if transposed else codes.shape[0])


LIBRARY.impl("quant_matmul", _composite, "CompositeExplicitAutograd")  # type: ignore[no-untyped-call]
torch.library.register_fake("loralab::quant_matmul", _fake, lib=LIBRARY)
