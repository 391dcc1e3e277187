"""Projections that read the same x, as one product: x is read, or rounded to 8 bits, once, and saved once.

Adapters and files know nothing of it: each projection keeps its own weight, which is some rows of the one matrix.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from loralab_core.models.parts import Linear
from loralab_core.ops import quant_linears
from loralab_core.quant import QuantTensor, stacked


class Merged(nn.Module):
    """`merged(x)` is what each projection makes of x. Dense ones, and those with dropout, are multiplied one by one."""

    def __init__(self, *projections: Linear):
        super().__init__()
        self.projections = projections  # a tuple: their place among the modules is elsewhere
        self.sizes = [projection.out_features for projection in projections]
        self.weight: QuantTensor | None = None
        self._rows: list[Tensor] = []  # codes of each, to see whether they still hold those

    def merge(self) -> None:
        """Put the weights into one matrix, where they are quantised alike. Nothing is held twice afterwards."""
        if self._is_whole():
            return
        held = [projection.weight for projection in self.projections]
        weights = [weight for weight in held if isinstance(weight, QuantTensor)]
        self.weight = stacked(weights) if len(weights) == len(held) else None
        self._rows, start = [], 0
        for projection, size in zip(self.projections, self.sizes, strict=True):
            if self.weight is not None:
                rows = self.weight.rows(start, start + size)
                projection.hold(rows)
                self._rows.append(rows.codes)
                start += size

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        if self.weight is None or not self._as_one():
            return tuple(projection(x) for projection in self.projections)
        loras = [projection.lora for projection in self.projections]
        return quant_linears(x, self.weight, self.sizes, self._bias(), loras, self.projections[0].compute)

    def _is_whole(self) -> bool:
        """Whether each still holds its rows."""
        pairs = zip(self.projections, self._rows, strict=False)
        return bool(self._rows) and all(one.weight.codes is codes for one, codes in pairs)

    def _as_one(self) -> bool:
        dropout = any(one.lora and one.lora.dropout and one.lora.seed is not None for one in self.projections)
        alike = len({(one.compute, one.bias is None) for one in self.projections}) == 1
        return alike and not dropout and self._is_whole()

    def _bias(self) -> Tensor | None:
        biases = [projection.bias for projection in self.projections if projection.bias is not None]
        return torch.cat(biases) if biases else None

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Any:
        """Behind the projections themselves, which may each have moved to memory of their own."""
        if self.weight is not None:
            self.merge()
        return self
