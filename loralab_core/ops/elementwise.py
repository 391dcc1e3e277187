"""Normalisation, rotary positions and the gated activation, each saving only what its backward pass needs."""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor


def rms_norm(x: Tensor, gain: Tensor, eps: float) -> Tensor:
    """x / rms(x) · gain over the last dimension, computed in float32 (Zhang & Sennrich, arXiv:1910.07467)."""
    y: Tensor = _RMSNorm.apply(x, gain, eps)  # type: ignore[no-untyped-call]
    return y


class _RMSNorm(torch.autograd.Function):
    """Autograd's own version keeps three float32 copies of x alive; this one keeps x and one number a row."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, gain: Tensor, eps: float) -> Tensor:
        wide = x.float()
        scale = torch.rsqrt(wide.pow(2).mean(-1, keepdim=True) + eps)
        ctx.save_for_backward(x, gain, scale)
        return gain * (wide * scale).to(x.dtype)

    @staticmethod
    def backward(ctx: Any, dy: Tensor) -> tuple[Tensor | None, ...]:
        x, gain, scale = ctx.saved_tensors
        unit = x.float() * scale
        wide = dy.float()
        dgain = (wide * unit).flatten(0, -2).sum(0).to(gain.dtype) if ctx.needs_input_grad[1] else None
        dunit = wide * gain.float()
        dx = (dunit - unit * (dunit * unit).mean(-1, keepdim=True)).mul_(scale)
        return dx.to(x.dtype), dgain, None


def rotary(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Rotate each pair (i, i + D/2) of x [batch, time, heads, D] by its position (Su et al., arXiv:2104.09864).

    cos, sin: [batch or 1, time, 1, D/2]. The two-halves layout is the one Hugging Face checkpoints are stored for.
    """
    left, right = x.chunk(2, -1)
    cos, sin = cos.to(x.dtype), sin.to(x.dtype)
    return torch.cat([left * cos - right * sin, right * cos + left * sin], -1)


def swiglu(gate: Tensor, up: Tensor) -> Tensor:
    """silu(gate) · up (Shazeer, arXiv:2002.05202)."""
    y: Tensor = _SwiGLU.apply(gate, up)  # type: ignore[no-untyped-call]
    return y


class _SwiGLU(torch.autograd.Function):
    """Saves gate and up and computes silu again: a third of the activations autograd would keep."""

    @staticmethod
    def forward(ctx: Any, gate: Tensor, up: Tensor) -> Tensor:
        ctx.save_for_backward(gate, up)
        return F.silu(gate).mul_(up)

    @staticmethod
    def backward(ctx: Any, dy: Tensor) -> tuple[Tensor, Tensor]:
        gate, up = ctx.saved_tensors
        dgate = torch.ops.aten.silu_backward(dy * up, gate)
        return dgate, F.silu(gate).mul_(dy)
