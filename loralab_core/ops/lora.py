"""The weights of an adapter at one projection, and the dropout in front of them.

The mask is drawn from a counter-based seed and drawn again in the backward pass, so it costs no memory and cannot
depend on what else the process did.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

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
    # What an answer's products take, by how many projections are one; None: made anew for every product.
    kept: dict[int, tuple[Tensor, Tensor]] | None = field(default=None, repr=False, compare=False)


def dropped(x: Tensor, dropout: float, seed: int | None) -> Tensor:
    """x with a share of its entries zeroed and the rest scaled up; the same seed and shape zero the same ones."""
    if seed is None or dropout == 0.0:
        return x
    generator = torch.Generator(device=x.device).manual_seed(seed)
    mask = torch.empty(x.shape, device=x.device, dtype=x.dtype).bernoulli_(1 - dropout, generator=generator)
    return x * mask.div_(1 - dropout)


def second_halves(sizes: Sequence[int], loras: Sequence[Lora | None]) -> tuple[list[Tensor], list[float]]:
    """Each projection's B [its rows, its rank] and scale; a B of no rank where there is no adapter."""
    some = next(lora.a for lora in loras if lora)
    b = [lora.b if lora else some.new_empty(size, 0) for size, lora in zip(sizes, loras, strict=True)]
    return b, [lora.scale if lora else 0.0 for lora in loras]


def diagonal(b: Sequence[Tensor], scales: Sequence[float]) -> Tensor:
    """s·B of each projection [all rows, all ranks], zero where a projection meets another's rank."""
    blocks: Tensor = torch.block_diag(*(each * scale for each, scale in zip(b, scales, strict=True)))  # type: ignore[no-untyped-call]
    return blocks


def keeps(lora: Lora) -> bool:
    """Whether it is an answer's, and nobody wants gradients."""
    return lora.kept is not None and not torch.is_grad_enabled() and not torch.compiler.is_compiling()


def kept_operands(loras: Sequence[Lora | None], sizes: Sequence[int], dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    """Every A below one another [all ranks, in] in x's `dtype`, and the diagonal of every s·B; made once.

    Of one token, making them takes longer than multiplying by them.
    """
    kept = next(lora.kept for lora in loras if lora)
    assert kept is not None
    if len(sizes) not in kept:
        a = torch.cat([lora.a for lora in loras if lora]).to(dtype)
        kept[len(sizes)] = a, diagonal(*second_halves(sizes, loras))
    return kept[len(sizes)]
