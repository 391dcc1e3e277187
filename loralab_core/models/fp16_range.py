"""Where fp16 ends, at 65504: weights beyond it become infinite, and so do activations of models made for bf16."""

import torch
from torch import Tensor

from loralab_core.errors import BadInput
from loralab_core.models.decoder import Decoder

TOKENS = 64  # of the text that is tried
ENDS = 8  # of them from either end of the vocabulary, where special tokens are


def check_range(least: Tensor, greatest: Tensor) -> None:
    """BadInput for weights that were read into fp16, by their two extremes."""
    if not (least.isfinite() and greatest.isfinite()):
        raise BadInput("its numbers go beyond 65504, where fp16 ends; use --base fp32, or nf4 if it is a projection's")


@torch.no_grad()
def stays_in_range(model: Decoder) -> bool:
    """Whether a short text leaves a model's states finite.

    The largest activations belong to few dimensions and to first tokens, whatever the text (arXiv:2402.17762), so a
    short one tells most; the loss of a run tells the rest.
    """
    size = model.config.vocab_size
    spread = torch.linspace(0, size - 1, TOKENS - 2 * ENDS).long()
    ids = torch.cat((torch.arange(ENDS), spread, torch.arange(size - ENDS, size)))
    ids = ids.clamp(0, size - 1)[: model.config.context]
    return bool(model.hidden(ids[None].to(model.device)).isfinite().all())
