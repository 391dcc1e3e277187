"""RMSNorm and LayerNorm over the last dimension."""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from loralab_core.ops.kernels import has_kernel
from loralab_core.ops.library import define


def rms_norm(x: Tensor, gain: Tensor, eps: float, offset: float = 0.0) -> Tensor:
    """x / rms(x) · (offset + gain) over the last dimension, in float32 (Zhang & Sennrich, arXiv:1910.07467)."""
    y: Tensor = _RMSNorm.apply(x, gain, eps, offset)  # type: ignore[no-untyped-call]
    return y


class _RMSNorm(torch.autograd.Function):
    """Autograd's own version keeps three float32 copies of x alive; this one keeps x and one number a row."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, gain: Tensor, eps: float, offset: float) -> Tensor:
        y, scale = (RMS_NORM if has_kernel("rms_norm", x) else forward)(x, gain, eps, offset)
        ctx.save_for_backward(x, gain, scale)
        ctx.offset = offset
        return y

    @staticmethod
    def backward(ctx: Any, dy: Tensor) -> tuple[Tensor | None, ...]:
        x, gain, scale = ctx.saved_tensors
        wanted = ctx.needs_input_grad[1]
        if not has_kernel("rms_norm_backward", x):
            return *backward(dy, x, gain, scale, ctx.offset, wanted), None, None
        dx = RMS_NORM_BACKWARD(dy, x, gain, scale, ctx.offset)
        return dx, _gain_gradient(dy.float(), x.float() * scale, gain) if wanted else None, None, None


def forward(x: Tensor, gain: Tensor, eps: float, offset: float) -> tuple[Tensor, Tensor]:
    """The norm [..., width] in x's dtype, and 1 / rms, float32 [..., 1]."""
    wide = x.float()
    scale = torch.rsqrt(wide.pow(2).mean(-1, keepdim=True) + eps)
    return (wide * scale).mul_(_whole(gain, offset)).to(x.dtype), scale


def backward(
    dy: Tensor, x: Tensor, gain: Tensor, scale: Tensor, offset: float, gain_too: bool = False
) -> tuple[Tensor, Tensor | None]:
    """dx and, where wanted, dgain, of the shapes and dtypes of x and gain; scale as `forward` gave it."""
    unit, wide = x.float() * scale, dy.float()
    dgain = _gain_gradient(wide, unit, gain) if gain_too else None
    dunit = wide * _whole(gain, offset)
    dx = (dunit - unit * (dunit * unit).mean(-1, keepdim=True)).mul_(scale)
    return dx.to(x.dtype), dgain


def _gain_gradient(dy: Tensor, unit: Tensor, gain: Tensor) -> Tensor:
    """dy and unit, x without its scale, in float32."""
    return (dy * unit).flatten(0, -2).sum(0).to(gain.dtype)


def _whole(gain: Tensor, offset: float) -> Tensor:
    """Gains near one that are stored as their distance from it would lose that distance in bf16."""
    return gain.float() + offset if offset else gain.float()


def layer_norm(x: Tensor, gain: Tensor, bias: Tensor, eps: float) -> Tensor:
    """(x - mean) / deviation · gain + bias over the last dimension (Ba et al., arXiv:1607.06450)."""
    return F.layer_norm(x, gain.shape, gain, bias, eps)


def _reference(x: Tensor, gain: Tensor, eps: float, offset: float) -> tuple[Tensor, Tensor]:
    return forward(x.contiguous(), gain, eps, offset)


def _fake(x: Tensor, gain: Tensor, eps: float, offset: float) -> tuple[Tensor, Tensor]:
    return x.new_empty(x.shape), x.new_empty((*x.shape[:-1], 1), dtype=torch.float32)


def _reference_backward(dy: Tensor, x: Tensor, gain: Tensor, scale: Tensor, offset: float) -> Tensor:
    return backward(dy.contiguous(), x.contiguous(), gain, scale, offset)[0]


RMS_NORM = define(
    "rms_norm(Tensor x, Tensor gain, float eps, float offset) -> (Tensor y, Tensor scale)", _reference, _fake
)
RMS_NORM_BACKWARD = define(
    "rms_norm_backward(Tensor dy, Tensor x, Tensor gain, Tensor scale, float offset) -> Tensor dx",
    _reference_backward,
    lambda dy, x, gain, scale, offset: x.new_empty(x.shape),
)
