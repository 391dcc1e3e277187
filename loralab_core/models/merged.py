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
        y = self.side_by_side(x)
        return tuple(one(x) for one in self.projections) if y is None else torch.split_with_sizes(y, self.sizes, -1)

    def side_by_side(self, x: Tensor) -> Tensor | None:
        """All of it in one tensor [..., sizes together]; None where they are multiplied one by one."""
        if self.weight is None or not self._as_one():
            return None
        loras = [projection.lora for projection in self.projections]
        return quant_linears(x, self.weight, self.sizes, self._bias(), loras, self.projections[0].compute)

    def _is_whole(self) -> bool:
        """Whether each still holds its rows."""
        weights = [one.weight for one in self.projections]
        codes = [weight.codes for weight in weights if isinstance(weight, QuantTensor)]
        return len(codes) == len(self._rows) and all(one is own for one, own in zip(codes, self._rows, strict=True))

    def _as_one(self) -> bool:
        dropout = any(one.lora and one.lora.dropout and one.lora.seed is not None for one in self.projections)
        alike = len({(one.compute, one.bias is None) for one in self.projections}) == 1
        return alike and not dropout and self._is_whole()

    def _bias(self) -> Tensor | None:
        biases: list[Tensor] = [one.bias for one in self.projections if one.bias is not None]
        return torch.cat(biases) if biases else None

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Any:
        """Behind the projections themselves, which may each have moved to memory of their own."""
        if self.weight is not None:
            self.merge()
        return self
