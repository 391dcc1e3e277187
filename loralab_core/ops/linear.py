"""y = x·Wᵀ + s·(x·Aᵀ)·Bᵀ (+ bias): a frozen linear layer with its LoRA branch as one autograd function.

Notable:
- Only x is saved (and the r-wide u = x·Aᵀ); dW is never computed.
- The branch is the addend of the big product, so it joins in the float32 accumulator and y is rounded once.
  Rounding x·Wᵀ to bf16 before adding would swallow the first, tiny updates.
"""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from loralab_core.ops.lora import Lora, dropped
from loralab_core.ops.quant_linear import quant_linear
from loralab_core.ops.quant_matmul import Compute
from loralab_core.quant.tensor import QuantTensor


def linear(
    x: Tensor,
    weight: Tensor | QuantTensor,
    bias: Tensor | None = None,
    lora: Lora | None = None,
    compute: Compute = "auto",
) -> Tensor:
    """x [..., in], weight [out, in] → [..., out] in x's dtype. Differentiable in x, lora.a, lora.b and bias.

    compute: how a quantised weight is multiplied (see quant_linear).

    A weight that requires grad (full tuning) goes through autograd's own linear, where lora must be None.
    """
    if isinstance(weight, QuantTensor):
        return quant_linear(x, weight, bias, lora, compute)
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
        u = dropped(flat, dropout, seed) @ a.to(x.dtype).t()  # [tokens, rank]
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
        da = (du.t() @ dropped(x, ctx.dropout, ctx.seed)).to(a.dtype)
        db = (dy.t() @ u).to(b.dtype).mul_(ctx.scale)
        dx = None
        if ctx.needs_input_grad[0]:
            dx = dropped(du @ a.to(dy.dtype), ctx.dropout, ctx.seed)
            dx.addmm_(dy, weight)
            dx = dx.view(ctx.shape)
        dbias = dy.sum(0) if ctx.bias and ctx.needs_input_grad[2] else None
        return dx, None, dbias, da, db, None, None, None
