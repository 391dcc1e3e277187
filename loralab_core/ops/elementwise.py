"""Norms, rotary positions and gates, each saving only what its backward pass needs."""

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "silu": F.silu,
    "gelu": F.gelu,
    "gelu_tanh": lambda x: F.gelu(x, approximate="tanh"),
    "relu": F.relu,
}


def rms_norm(x: Tensor, gain: Tensor, eps: float, offset: float = 0.0) -> Tensor:
    """x / rms(x) · (offset + gain) over the last dimension, in float32 (Zhang & Sennrich, arXiv:1910.07467)."""
    y: Tensor = _RMSNorm.apply(x, gain, eps, offset)  # type: ignore[no-untyped-call]
    return y


class _RMSNorm(torch.autograd.Function):
    """Autograd's own version keeps three float32 copies of x alive; this one keeps x and one number a row."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, gain: Tensor, eps: float, offset: float) -> Tensor:
        wide = x.float()
        scale = torch.rsqrt(wide.pow(2).mean(-1, keepdim=True) + eps)
        ctx.save_for_backward(x, gain, scale)
        ctx.offset = offset
        return (wide * scale).mul_(_whole(gain, offset)).to(x.dtype)

    @staticmethod
    def backward(ctx: Any, dy: Tensor) -> tuple[Tensor | None, ...]:
        x, gain, scale = ctx.saved_tensors
        unit = x.float() * scale
        wide = dy.float()
        dgain = (wide * unit).flatten(0, -2).sum(0).to(gain.dtype) if ctx.needs_input_grad[1] else None
        dunit = wide * _whole(gain, ctx.offset)
        dx = (dunit - unit * (dunit * unit).mean(-1, keepdim=True)).mul_(scale)
        return dx.to(x.dtype), dgain, None, None


def _whole(gain: Tensor, offset: float) -> Tensor:
    """Gains near one that are stored as their distance from it would lose that distance in bf16."""
    return gain.float() + offset if offset else gain.float()


def layer_norm(x: Tensor, gain: Tensor, bias: Tensor, eps: float) -> Tensor:
    """(x - mean) / deviation · gain + bias over the last dimension (Ba et al., arXiv:1607.06450)."""
    return F.layer_norm(x, gain.shape, gain, bias, eps)


def rotary(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Rotate each pair (i, i + S/2) of x [batch, time, heads, D] by its position (Su et al., arXiv:2104.09864).

    cos, sin: [batch or 1, time, 1, S/2]; dimensions beyond S stay. The two-halves layout is the one Hugging Face
    checkpoints are stored for.
    """
    half = cos.shape[-1]
    left, right, rest = x.tensor_split((half, 2 * half), -1)
    cos, sin = cos.to(x.dtype), sin.to(x.dtype)
    return torch.cat([left * cos - right * sin, right * cos + left * sin, rest], -1)


def soft_cap(x: Tensor, cap: float) -> Tensor:
    """cap · tanh(x / cap): nearly x where that is small, never beyond ±cap (Gemma 2, arXiv:2408.00118)."""
    return torch.tanh(x / cap) * cap


def activate(x: Tensor, activation: str) -> Tensor:
    return ACTIVATIONS[activation](x)


def gated(gate: Tensor, up: Tensor, activation: str) -> Tensor:
    """activation(gate) · up (Shazeer, arXiv:2002.05202)."""
    y: Tensor = _Gated.apply(gate, up, activation)  # type: ignore[no-untyped-call]
    return y


class _Gated(torch.autograd.Function):
    """Saves gate and up and computes the activation again: a third of the activations autograd would keep."""

    @staticmethod
    def forward(ctx: Any, gate: Tensor, up: Tensor, activation: str) -> Tensor:
        ctx.save_for_backward(gate, up)
        ctx.activation = activation
        return ACTIVATIONS[activation](gate).mul_(up)

    @staticmethod
    def backward(ctx: Any, dy: Tensor) -> tuple[Tensor | None, ...]:
        gate, up = ctx.saved_tensors
        return _slope(dy * up, gate, ctx.activation), ACTIVATIONS[ctx.activation](gate).mul_(dy), None


def gated_halves(both: Tensor, activation: str) -> Tensor:
    """The same of gate and up beside one another, [..., 2 · width] → [..., width]."""
    y: Tensor = _GatedHalves.apply(both, activation)  # type: ignore[no-untyped-call]
    return y


class _GatedHalves(torch.autograd.Function):
    """Each half's gradient is written where it belongs: joining them afterwards would copy the widest tensor."""

    @staticmethod
    def forward(ctx: Any, both: Tensor, activation: str) -> Tensor:
        ctx.save_for_backward(both)
        ctx.activation = activation
        gate, up = both.chunk(2, -1)
        return ACTIVATIONS[activation](gate).mul_(up)

    @staticmethod
    def backward(ctx: Any, dy: Tensor) -> tuple[Tensor | None, ...]:
        (both,) = ctx.saved_tensors
        gate, up = both.chunk(2, -1)
        dboth = torch.empty_like(both)
        dgate, dup = dboth.chunk(2, -1)
        if ctx.activation == "silu":
            torch.ops.aten.silu_backward.grad_input(dy * up, gate, grad_input=dgate)
        else:
            dgate.copy_(_slope(dy * up, gate, ctx.activation))
        torch.mul(ACTIVATIONS[ctx.activation](gate), dy, out=dup)
        return dboth, None


def _slope(dy: Tensor, x: Tensor, activation: str) -> Tensor:
    """dy · activation'(x)."""
    if activation == "silu":
        return torch.ops.aten.silu_backward(dy, x)  # type: ignore[no-any-return]
    if activation == "relu":
        return dy * (x > 0)
    approximate = "tanh" if activation == "gelu_tanh" else "none"
    return torch.ops.aten.gelu_backward(dy, x, approximate=approximate)  # type: ignore[no-any-return]
