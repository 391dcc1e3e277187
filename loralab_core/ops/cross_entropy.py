"""Cross-entropy straight from hidden states, a slab of tokens at a time: [tokens, vocab] never exists.

The gradient is made in the forward pass, while a slab's logits are at hand, and only scaled in the backward pass
(the idea of cut cross-entropy, arXiv:2411.09009, in plain PyTorch).
"""

from typing import Any

import torch
from torch import Tensor

from loralab_core.ops.quant_matmul import Compute, forward_compute, gradient_compute, quant_matmul
from loralab_core.quant.tensor import QuantTensor

SLAB_BYTES = 32 << 20  # float32 logits alive at once


def linear_cross_entropy(
    hidden: Tensor,
    head: Tensor | QuantTensor,
    labels: Tensor,
    scale: float = 1.0,
    *,
    bias: Tensor | None = None,
    logit_scale: float = 1.0,
    cap: float | None = None,
    compute: Compute = "auto",
) -> Tensor:
    """scale · Σ −log softmax(logits)[label], a float32 scalar; logits = capped(logit_scale · (hidden·headᵀ + bias)).

    hidden [tokens, width], head [vocab, width], labels [tokens] (all ≥ 0: callers select the trained positions first).
    Differentiable in hidden, and in head and bias where they require grad. compute: of a quantised head, which is
    frozen (see quant_linear).
    """
    loss: Tensor = _LinearCrossEntropy.apply(hidden, head, bias, labels, scale, logit_scale, cap, compute)  # type: ignore[no-untyped-call]
    return loss


class _LinearCrossEntropy(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        hidden: Tensor,
        head: Tensor | QuantTensor,
        bias: Tensor | None,
        labels: Tensor,
        scale: float,
        logit_scale: float,
        cap: float | None,
        compute: Compute,
    ) -> Tensor:
        wanted = ctx.needs_input_grad
        dhidden = torch.empty_like(hidden) if wanted[0] else None
        dhead = torch.zeros(head.shape, dtype=torch.float32, device=head.device) if wanted[1] else None
        dbias = torch.zeros(head.shape[0], dtype=torch.float32, device=head.device) if wanted[2] else None
        total = torch.zeros((), dtype=torch.float32, device=hidden.device)
        slab = max(16, SLAB_BYTES // (4 * head.shape[0]))
        for start in range(0, hidden.shape[0], slab):
            rows = slice(start, start + slab)
            x = hidden[rows]
            logits, slope = _logits(_product(x, head, compute), bias, logit_scale, cap, any(wanted[:3]))
            loss, dlogits = _softmax_loss(logits, labels[rows, None], scale)
            total += loss
            if not any(wanted[:3]):
                continue
            dlogits = (dlogits if slope is None else dlogits.mul_(slope)).to(hidden.dtype)
            if dhidden is not None:
                _product_back(dlogits, head, compute, dhidden[rows])
            if dhead is not None:
                dhead += dlogits.t() @ x
            if dbias is not None:
                dbias += dlogits.sum(0)
        ctx.save_for_backward(dhidden, dhead, dbias)
        ctx.head_dtype = None if isinstance(head, QuantTensor) else head.dtype
        return total * scale

    @staticmethod
    def backward(ctx: Any, dloss: Tensor) -> tuple[Tensor | None, ...]:
        dhidden, dhead, dbias = ctx.saved_tensors
        if dhidden is not None:
            dhidden = dhidden * dloss.to(dhidden.dtype)
        dhead, dbias = ((d * dloss).to(ctx.head_dtype) if d is not None else None for d in (dhead, dbias))
        return dhidden, dhead, dbias, None, None, None, None, None


def _product(x: Tensor, head: Tensor | QuantTensor, compute: Compute) -> Tensor:
    """x·headᵀ, float32 [tokens, vocab]."""
    if isinstance(head, QuantTensor):
        return quant_matmul(x, head, compute=forward_compute(compute)).float()
    return (x @ head.t()).float()


def _product_back(dlogits: Tensor, head: Tensor | QuantTensor, compute: Compute, dx: Tensor) -> None:
    """dx [tokens, width] = dlogits·head"""
    if isinstance(head, QuantTensor):
        dx.copy_(quant_matmul(dlogits, head, transposed=True, compute=gradient_compute(compute)))
    else:
        torch.mm(dlogits, head, out=dx)


def _logits(
    logits: Tensor, bias: Tensor | None, scale: float, cap: float | None, slope: bool
) -> tuple[Tensor, Tensor | None]:
    """Of that memory, and where scale or cap need it their derivative by the product, of that shape or ()."""
    if bias is not None:
        logits += bias
    if scale != 1.0:
        logits.mul_(scale)
    if cap is None:
        return logits, torch.tensor(scale, device=logits.device) if slope and scale != 1.0 else None
    bent = logits.div_(cap).tanh_()
    derivative = (1 - bent * bent).mul_(scale) if slope else None
    return bent.mul_(cap), derivative


def _softmax_loss(logits: Tensor, label: Tensor, scale: float) -> tuple[Tensor, Tensor]:
    """Σ −log softmax(logits)[label] and, in the logits' own memory, scale times its gradient. label [tokens, 1]."""
    # softmax in place, by hand: logsumexp and then exp would walk through the slab four times more
    top, own = logits.amax(-1, keepdim=True), logits.gather(1, label)
    weights = logits.sub_(top).exp_()
    total_weight = weights.sum(-1, keepdim=True)
    loss = (total_weight.log() + top - own).sum()
    dlogits = weights.mul_(scale / total_weight)
    dlogits.scatter_add_(1, label, torch.full_like(label, -scale, dtype=torch.float32))
    return loss, dlogits
