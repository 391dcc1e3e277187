"""Cross-entropy straight from hidden states, a slab of tokens at a time: [tokens, vocab] never exists.

The gradient is made in the forward pass, while a slab's logits are at hand, and only scaled in the backward pass
(the idea of cut cross-entropy, arXiv:2411.09009, in plain PyTorch).
"""

from typing import Any

import torch
from torch import Tensor

from loralab_core.ops.kernels import has_kernel
from loralab_core.ops.quant_matmul import Compute, forward_compute, gradient_compute, quant_matmul
from loralab_core.ops.softmax_loss import softmax_loss_
from loralab_core.quant.tensor import QuantTensor

SLAB_BYTES = 32 << 20  # logits alive at once: they stay near the cores
GPU_SLAB_BYTES = 256 << 20  # here: of few rows the products would be bound by reading the head


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
        gpu = has_kernel("softmax_loss_", hidden)
        exact = not gpu or bias is not None or logit_scale != 1.0 or cap is not None
        # divided by the number of tokens, of a gradient in 16 bits only the label's share might be left
        now, later = (1.0, scale) if gpu else (scale, 1.0)
        slab = _rows_at_once(head.shape[0] * (4 if exact else hidden.element_size()), gpu)
        for start in range(0, hidden.shape[0], slab):
            rows = slice(start, start + slab)
            x = hidden[rows]
            logits, slope = _logits(_product(x, head, compute, exact), bias, logit_scale, cap, any(wanted[:3]))
            total += softmax_loss_(logits, labels[rows], now)  # logits are their gradient from here on
            if not any(wanted[:3]):
                continue
            dlogits = (logits if slope is None else logits.mul_(slope)).to(hidden.dtype)
            if dhidden is not None:
                _product_back(dlogits, head, compute, dhidden[rows])
            if dhead is not None:
                dhead += dlogits.t() @ x
            if dbias is not None:
                dbias += dlogits.sum(0)
        ctx.save_for_backward(dhidden, dhead, dbias)
        ctx.head_dtype, ctx.later = None if isinstance(head, QuantTensor) else head.dtype, later
        return total * scale

    @staticmethod
    def backward(ctx: Any, dloss: Tensor) -> tuple[Tensor | None, ...]:
        dhidden, dhead, dbias = ctx.saved_tensors
        if ctx.later != 1.0:
            dloss = dloss * ctx.later
        if dhidden is not None:
            dhidden = _times(dhidden, dloss)
        dhead, dbias = ((d * dloss).to(ctx.head_dtype) if d is not None else None for d in (dhead, dbias))
        return dhidden, dhead, dbias, None, None, None, None, None


def _rows_at_once(row_bytes: int, gpu: bool) -> int:
    return max(16, (GPU_SLAB_BYTES if gpu else SLAB_BYTES) // row_bytes)


def _times(gradient: Tensor, factor: Tensor) -> Tensor:
    """In the gradient's dtype. A factor that may be beyond fp16, or hold more than a power of two, is not rounded."""
    if gradient.dtype == torch.float16 or has_kernel("softmax_loss_", gradient):
        return (gradient.float() * factor).to(gradient.dtype)
    return gradient * factor.to(gradient.dtype)


def _product(x: Tensor, head: Tensor | QuantTensor, compute: Compute, exact: bool) -> Tensor:
    """x·headᵀ [tokens, vocab], in float32 where what comes next has to be exact."""
    if isinstance(head, QuantTensor):
        y = quant_matmul(x, head, compute=forward_compute(compute))
    else:
        y = x @ head.t()
    return y.float() if exact else y


def _product_back(dlogits: Tensor, head: Tensor | QuantTensor, compute: Compute, dx: Tensor) -> None:
    """dx [tokens, width] = dlogits·head"""
    if isinstance(head, QuantTensor):
        dx.copy_(quant_matmul(dlogits, head, transposed=True, compute=gradient_compute(compute)))
    else:
        torch.mm(dlogits, head, out=dx)


def _logits(
    logits: Tensor, bias: Tensor | None, scale: float, cap: float | None, slope: bool
) -> tuple[Tensor, Tensor | float | None]:
    """Of that memory, and where scale or cap need it their derivative by the product, of that shape or a number."""
    if bias is not None:
        logits += bias
    if scale != 1.0:
        logits.mul_(scale)
    if cap is None:
        return logits, scale if slope and scale != 1.0 else None
    bent = logits.div_(cap).tanh_()
    derivative = (1 - bent * bent).mul_(scale) if slope else None
    return bent.mul_(cap), derivative
