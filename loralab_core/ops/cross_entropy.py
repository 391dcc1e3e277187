"""Cross-entropy straight from hidden states, a slab of tokens at a time: [tokens, vocab] never exists.

The gradient is made in the forward pass, while a slab's logits are at hand, and only scaled in the backward pass
(the idea of cut cross-entropy, arXiv:2411.09009, in plain PyTorch).
"""

from typing import Any

import torch
from torch import Tensor

SLAB_BYTES = 32 << 20  # float32 logits alive at once


def linear_cross_entropy(hidden: Tensor, head: Tensor, labels: Tensor, scale: float = 1.0) -> Tensor:
    """scale · Σ −log softmax(hidden·headᵀ)[label], a float32 scalar.

    hidden [tokens, width], head [vocab, width], labels [tokens] (all ≥ 0: callers select the trained positions first).
    Differentiable in hidden, and in head where it requires grad.
    """
    loss: Tensor = _LinearCrossEntropy.apply(hidden, head, labels, scale)  # type: ignore[no-untyped-call]
    return loss


class _LinearCrossEntropy(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, hidden: Tensor, head: Tensor, labels: Tensor, scale: float) -> Tensor:
        wanted = ctx.needs_input_grad
        dhidden = torch.empty_like(hidden) if wanted[0] else None
        dhead = torch.zeros(head.shape, dtype=torch.float32, device=head.device) if wanted[1] else None
        total = torch.zeros((), dtype=torch.float32, device=hidden.device)
        slab = max(16, SLAB_BYTES // (4 * head.shape[0]))
        for start in range(0, hidden.shape[0], slab):
            rows = slice(start, start + slab)
            x, label = hidden[rows], labels[rows, None]
            logits = (x @ head.t()).float()
            # softmax in place, by hand: logsumexp and then exp would walk through the slab four times more
            top, own = logits.amax(-1, keepdim=True), logits.gather(1, label)
            weights = logits.sub_(top).exp_()
            total_weight = weights.sum(-1, keepdim=True)
            total += (total_weight.log() + top - own).sum()
            if dhidden is None and dhead is None:
                continue
            dlogits = weights.mul_(scale / total_weight)
            dlogits.scatter_add_(1, label, torch.full_like(label, -scale, dtype=torch.float32))
            dlogits = dlogits.to(hidden.dtype)
            if dhidden is not None:
                torch.mm(dlogits, head, out=dhidden[rows])
            if dhead is not None:
                dhead += dlogits.t() @ x
        ctx.save_for_backward(dhidden, dhead)
        ctx.head_dtype = head.dtype
        return total * scale

    @staticmethod
    def backward(ctx: Any, dloss: Tensor) -> tuple[Tensor | None, ...]:
        dhidden, dhead = ctx.saved_tensors
        if dhidden is not None:
            dhidden = dhidden * dloss.to(dhidden.dtype)
        if dhead is not None:
            dhead = (dhead * dloss).to(ctx.head_dtype)
        return dhidden, dhead, None, None
