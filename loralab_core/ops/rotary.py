"""Rotary positions (Su et al., arXiv:2104.09864), in the two-halves layout Hugging Face checkpoints are stored for."""

from typing import Any

import torch
from torch import Tensor

from loralab_core.ops.kernels import has_kernel
from loralab_core.ops.library import define


def rotary(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Rotate each pair (i, i + S/2) of x [batch, time, heads, D] by its position.

    cos, sin: [batch or 1, time, 1, S/2], float32 on a GPU; dimensions beyond S stay.
    """
    if not has_kernel("rotary", x):
        return turned(x, cos, sin)
    y: Tensor = _Rotary.apply(x, cos, sin)  # type: ignore[no-untyped-call]
    return y


class _Rotary(torch.autograd.Function):
    """A turn's gradient is the turn back."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
        ctx.save_for_backward(cos, sin)
        return ROTARY(x, cos, sin, False)  # type: ignore[no-any-return]

    @staticmethod
    def backward(ctx: Any, dy: Tensor) -> tuple[Tensor | None, ...]:
        return ROTARY(dy, *ctx.saved_tensors, True), None, None


def turned(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """In plain PyTorch, differentiable."""
    half = cos.shape[-1]
    left, right, rest = x.tensor_split((half, 2 * half), -1)
    cos, sin = cos.to(x.dtype), sin.to(x.dtype)
    return torch.cat([left * cos - right * sin, right * cos + left * sin, rest], -1)


def _reference(x: Tensor, cos: Tensor, sin: Tensor, inverse: bool) -> Tensor:
    return turned(x.contiguous(), cos, -sin if inverse else sin)


ROTARY = define(
    "rotary(Tensor x, Tensor cos, Tensor sin, bool inverse) -> Tensor",
    _reference,
    lambda x, cos, sin, inverse: x.new_empty(x.shape),
)
