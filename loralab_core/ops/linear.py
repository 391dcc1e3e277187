"""y = x·Wᵀ + s·(x·Aᵀ)·Bᵀ (+ bias): a frozen linear layer with its LoRA branch as one autograd function.

Notable:
- Only x is saved (and the r-wide u = x·Aᵀ); dW is never computed.
- The branch is the addend of the big product, so it joins in the float32 accumulator and y is rounded once.
  Rounding x·Wᵀ to bf16 before adding would swallow the first, tiny updates.
- Dropout's mask is drawn from a counter-based seed and drawn again in the backward pass, so it costs no memory and
  cannot depend on what else the process did.
"""

from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor


@dataclass
class Lora:
    """The adapter weights of one projection (Hu et al., arXiv:2106.09685)."""

    a: Tensor  # [rank, in]
    b: Tensor  # [out, rank]
    scale: float
    dropout: float = 0.0
    seed: int | None = None  # of the dropout mask; None: evaluation, no dropout


def linear(x: Tensor, weight: Tensor, bias: Tensor | None = None, lora: Lora | None = None) -> Tensor:
    """x [..., in], weight [out, in] → [..., out] in x's dtype. Differentiable in x, lora.a, lora.b and bias.

    A weight that requires grad (full tuning) goes through autograd's own linear, where lora must be None.
    """
    if lora is None:
        return F.linear(x, weight, bias)
    y: Tensor = _LoraLinear.apply(x, weight, bias, lora.a, lora.b, lora.scale, lora.dropout, lora.seed)  # type: ignore[no-untyped-call]
    return y


class _LoraLinear(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        weight: Tensor,
        bias: Tensor | None,
        a: Tensor,
        b: Tensor,
        scale: float,
        dropout: float,
        seed: int | None,
    ) -> Tensor:
        flat = x.reshape(-1, x.shape[-1])
        u = _dropped(flat, dropout, seed) @ a.to(x.dtype).t()  # [tokens, rank]
        y = u @ (b * scale).to(x.dtype).t()
        y.addmm_(flat, weight.t())
        if bias is not None:
            y += bias
        ctx.save_for_backward(flat, weight, a, b, u)
        ctx.shape, ctx.scale, ctx.dropout, ctx.seed, ctx.bias = x.shape, scale, dropout, seed, bias is not None
        return y.view(*x.shape[:-1], -1)

    @staticmethod
    def backward(ctx: Any, dy: Tensor) -> tuple[Tensor | None, ...]:
        x, weight, a, b, u = ctx.saved_tensors
        dy = dy.reshape(-1, dy.shape[-1])
        du = dy @ (b * ctx.scale).to(dy.dtype)  # [tokens, rank]
        da = (du.t() @ _dropped(x, ctx.dropout, ctx.seed)).to(a.dtype)
        db = (dy.t() @ u).to(b.dtype).mul_(ctx.scale)
        dx = None
        if ctx.needs_input_grad[0]:
            dx = _dropped(du @ a.to(dy.dtype), ctx.dropout, ctx.seed)
            dx.addmm_(dy, weight)
            dx = dx.view(ctx.shape)
        dbias = dy.sum(0) if ctx.bias and ctx.needs_input_grad[2] else None
        return dx, None, dbias, da, db, None, None, None


def _dropped(x: Tensor, dropout: float, seed: int | None) -> Tensor:
    """x with a share of its entries zeroed and the rest scaled up; the same seed and shape zero the same ones."""
    if seed is None or dropout == 0.0:
        return x
    generator = torch.Generator(device=x.device).manual_seed(seed)
    mask = torch.empty(x.shape, device=x.device, dtype=x.dtype).bernoulli_(1 - dropout, generator=generator)
    return x * mask.div_(1 - dropout)
