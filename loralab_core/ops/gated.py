"""activation(gate) · up (Shazeer, arXiv:2002.05202): only gate and up are saved, the activation is computed again."""

from typing import Any

import torch
from torch import Tensor

from loralab_core.ops.elementwise import ACTIVATIONS, slope
from loralab_core.ops.kernels import has_kernel
from loralab_core.ops.library import define


def gated(gate: Tensor, up: Tensor, activation: str) -> Tensor:
    """activation(gate) · up, of gate's shape; either may be a part of a wider tensor."""
    y: Tensor = _Gated.apply(gate, up, activation)  # type: ignore[no-untyped-call]
    return y


class _Gated(torch.autograd.Function):
    """A third of the activations autograd would keep."""

    @staticmethod
    def forward(ctx: Any, gate: Tensor, up: Tensor, activation: str) -> Tensor:
        ctx.save_for_backward(gate, up)
        ctx.activation = activation
        return (GATED if has_kernel("gated", gate) else forward)(gate, up, activation)

    @staticmethod
    def backward(ctx: Any, dy: Tensor) -> tuple[Tensor | None, ...]:
        gate, up = ctx.saved_tensors
        return *(GATED_BACKWARD if has_kernel("gated_backward", gate) else backward)(dy, gate, up, ctx.activation), None


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
        return (GATED if has_kernel("gated", both) else forward)(gate, up, activation)

    @staticmethod
    def backward(ctx: Any, dy: Tensor) -> tuple[Tensor | None, ...]:
        (both,) = ctx.saved_tensors
        by = GATED_HALVES_BACKWARD if has_kernel("gated_halves_backward", both) else halves_backward
        return by(dy, both, ctx.activation), None


def forward(gate: Tensor, up: Tensor, activation: str) -> Tensor:
    return ACTIVATIONS[activation](gate).mul_(up)


def backward(dy: Tensor, gate: Tensor, up: Tensor, activation: str) -> tuple[Tensor, Tensor]:
    """dgate and dup."""
    return slope(dy * up, gate, activation), ACTIVATIONS[activation](gate).mul_(dy)


def halves_backward(dy: Tensor, both: Tensor, activation: str) -> Tensor:
    """dboth [..., 2 · width]: dgate and dup beside one another."""
    gate, up = both.chunk(2, -1)
    dboth = torch.empty_like(both)
    dgate, dup = dboth.chunk(2, -1)
    if activation == "silu":
        torch.ops.aten.silu_backward.grad_input(dy * up, gate, grad_input=dgate)
    else:
        dgate.copy_(slope(dy * up, gate, activation))
    torch.mul(ACTIVATIONS[activation](gate), dy, out=dup)
    return dboth


def _reference(gate: Tensor, up: Tensor, activation: str) -> Tensor:
    return forward(gate.contiguous(), up, activation)


def _reference_backward(dy: Tensor, gate: Tensor, up: Tensor, activation: str) -> tuple[Tensor, Tensor]:
    return backward(dy.contiguous(), gate.contiguous(), up.contiguous(), activation)


def _reference_halves_backward(dy: Tensor, both: Tensor, activation: str) -> Tensor:
    return halves_backward(dy, both.contiguous(), activation)


GATED = define(
    "gated(Tensor gate, Tensor up, str activation) -> Tensor",
    _reference,
    lambda gate, up, activation: gate.new_empty(gate.shape),
)
GATED_BACKWARD = define(
    "gated_backward(Tensor dy, Tensor gate, Tensor up, str activation) -> (Tensor dgate, Tensor dup)",
    _reference_backward,
    lambda dy, gate, up, activation: (gate.new_empty(gate.shape), up.new_empty(up.shape)),
)
GATED_HALVES_BACKWARD = define(
    "gated_halves_backward(Tensor dy, Tensor both, str activation) -> Tensor dboth",
    _reference_halves_backward,
    lambda dy, both, activation: both.new_empty(both.shape),
)
