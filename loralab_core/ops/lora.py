"""The weights of an adapter at one projection, and the dropout in front of them.

The mask is drawn from a counter-based seed and drawn again in the backward pass, so it costs no memory and cannot
depend on what else the process did.
"""

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass
class Lora:
    """The adapter weights of one projection (Hu et al., arXiv:2106.09685)."""

    a: Tensor  # [rank, in]
    b: Tensor  # [out, rank]
    scale: float
    dropout: float = 0.0
    seed: int | None = None  # of the dropout mask; None: evaluation, no dropout


def dropped(x: Tensor, dropout: float, seed: int | None) -> Tensor:
    """x with a share of its entries zeroed and the rest scaled up; the same seed and shape zero the same ones."""
    if seed is None or dropout == 0.0:
        return x
    generator = torch.Generator(device=x.device).manual_seed(seed)
    mask = torch.empty(x.shape, device=x.device, dtype=x.dtype).bernoulli_(1 - dropout, generator=generator)
    return x * mask.div_(1 - dropout)
