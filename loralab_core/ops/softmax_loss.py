"""The loss of a slab of logits and, in their own memory, its gradient."""

import torch
from torch import Tensor

from loralab_core.ops.kernels import has_kernel
from loralab_core.ops.library import define

IGNORED = -100  # as PyTorch's cross_entropy has it


def softmax_loss_(logits: Tensor, labels: Tensor, scale: float) -> Tensor:
    """Σ −log softmax(logits)[label], a float32 scalar; logits become scale · (softmax − one-hot). No autograd.

    logits [tokens, vocab], on a GPU of any floating type and elsewhere float32; labels int64 [tokens], IGNORED (-100)
    where a row has no part in the loss.
    """
    loss: Tensor = (SOFTMAX_LOSS_ if has_kernel("softmax_loss_", logits) else _by_torch)(logits, labels, scale)
    return loss


def _by_torch(logits: Tensor, labels: Tensor, scale: float) -> Tensor:
    # softmax in place, by hand: logsumexp and then exp would walk through the slab four times more
    trained = (labels != IGNORED)[:, None]
    label = labels[:, None].where(trained, 0)
    top, own = logits.amax(-1, keepdim=True), logits.gather(1, label)
    weights = logits.sub_(top).exp_()
    total_weight = weights.sum(-1, keepdim=True)
    loss = (total_weight.log() + top - own).mul_(trained).sum()
    share = trained * scale  # float32 [tokens, 1]
    weights.mul_(share / total_weight).scatter_add_(1, label, -share)
    return loss


def _reference(logits: Tensor, labels: Tensor, scale: float) -> Tensor:
    wide = logits.float()
    loss = _by_torch(wide, labels, scale)
    if wide is not logits:
        logits.copy_(wide)
    return loss


SOFTMAX_LOSS_ = define(
    "softmax_loss_(Tensor(a!) logits, Tensor labels, float scale) -> Tensor",
    _reference,
    lambda logits, labels, scale: logits.new_empty((), dtype=torch.float32),
)
