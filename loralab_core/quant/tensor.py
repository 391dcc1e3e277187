"""A quantised matrix: 4-bit codes into a table of sixteen values, or 8-bit integers, with their scales.

4 bits a weight (QLoRA, arXiv:2305.14314, sections 2 and 3): `in` is padded to whole groups, and

    weight[o, i] = (codebook[code[o, i]] − zero[o, g]) · (offset[o / 16] + step[o / 16] · scale[o, g]),  g = i / group

Element 2j of a row lies in the high half of byte j. Scales are codes themselves, 8 bits each, even steps between the
smallest and the largest scale of 16 rows ("double quantisation"); a scale may be below zero; zero-points are optional.
8 bits a weight: one float32 scale a row, weight[o, i] = code[o, i] · scale[o].
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import Literal

import torch
from torch import Tensor

from loralab_core.quant.codebooks import SLAB, look_up
from loralab_core.quant.scales import ROWS, decode_scales

Kind = Literal["nf4", "int4", "int8"]
PER_ROW = ("codes", "scales", "zeros")


@dataclass(frozen=True, eq=False)
class QuantTensor:
    """A matrix [out, in]. Made by `quantize`; nothing in it is ever written to again."""

    kind: Kind
    shape: tuple[int, int]
    group: int  # elements along `in` that share a scale; of int8 the whole row
    codes: Tensor  # uint8 [out, padded in / 2]; int8 [out, in]
    scales: Tensor  # uint8 [out, padded in / group]; of int8 float32 [out]
    steps: Tensor | None = None  # float32 [out / 16, rounded up; 2]: step and offset of the scales
    codebook: Tensor | None = None  # float32 [16]
    zeros: Tensor | None = None  # uint8 [out, padded in / group], in units of the codebook

    @property
    def nbytes(self) -> int:
        """Packed, with everything that belongs to it."""
        return sum(tensor.nbytes for tensor in self.tensors().values())

    @property
    def device(self) -> torch.device:
        return self.codes.device

    def tensors(self) -> dict[str, Tensor]:
        """By field."""
        found = {each.name: getattr(self, each.name) for each in fields(self)}
        return {name: value for name, value in found.items() if isinstance(value, Tensor)}

    def to(self, device: torch.device | str) -> "QuantTensor":
        return replace(self, **{name: tensor.to(device) for name, tensor in self.tensors().items()})  # type: ignore[arg-type]

    def rows(self, start: int, stop: int) -> "QuantTensor":
        """Rows [start, stop), sharing memory. `start` is a multiple of ROWS, which share the steps of their scales."""
        if start % ROWS:
            raise ValueError(f"rows from {start} on: a multiple of {ROWS} is wanted")
        per_row = {name: tensor[start:stop] for name, tensor in self.tensors().items() if name in PER_ROW}
        steps = None if self.steps is None else self.steps[start // ROWS : -(-stop // ROWS)]
        return replace(self, shape=(stop - start, self.shape[1]), steps=steps, **per_row)  # type: ignore[arg-type]

    def columns(self, start: int, stop: int) -> "QuantTensor":
        """Columns [start, stop), sharing memory. `start` is a multiple of the group; of int8 it may be any."""
        shape = (self.shape[0], stop - start)
        if self.codebook is None:
            return replace(self, shape=shape, group=shape[1], codes=self.codes[:, start:stop])
        if start % self.group:
            raise ValueError(f"columns from {start} on: a multiple of {self.group} is wanted")
        groups = slice(start // self.group, -(-stop // self.group))
        codes = self.codes[:, groups.start * self.group // 2 : groups.stop * self.group // 2]
        zeros = None if self.zeros is None else self.zeros[:, groups]
        return replace(self, shape=shape, codes=codes, scales=self.scales[:, groups], zeros=zeros)

    def row_scales(self, start: int = 0, stop: int | None = None) -> Tensor:
        """What the codes of rows [start, stop) are multiplied by, float32 [rows, groups]; of int8 [rows, 1]."""
        chosen = self.scales[start:stop]
        return chosen[:, None] if self.steps is None else decode_scales(chosen, self.steps, start)

    def dequantize(self, dtype: torch.dtype = torch.float32) -> Tensor:
        """Dense [out, in], every product rounded once."""
        out, width = self.shape
        dense = torch.empty(out, width, dtype=dtype, device=self.device)
        slab = max(1, SLAB // width)
        for start in range(0, out, slab):
            dense[start : start + slab] = self._rows(start, min(start + slab, out))
        return dense

    def _rows(self, start: int, stop: int) -> Tensor:
        """float32 [stop − start, in]"""
        scales, codes = self.row_scales(start, stop), self.codes[start:stop]
        if self.codebook is None:
            return codes.float() * scales
        values = look_up(codes.reshape(-1), self.codebook).view(*scales.shape, self.group)
        if self.zeros is not None:
            values = values - self.zeros[start:stop, :, None]
        return (values * scales[..., None]).flatten(1)[:, : self.shape[1]]


def stacked(parts: Sequence[QuantTensor]) -> QuantTensor | None:
    """The matrix whose rows are those of `parts`, one after another.

    None where there is none: they differ in more than their rows, or one ends between rows that share their steps.
    """
    first = parts[0]
    if any(len(part.codes) % ROWS for part in parts[:-1]) or not all(_alike(first, part) for part in parts):
        return None
    rows = {name: torch.cat([part.tensors()[name] for part in parts]) for name in first.tensors() if name != "codebook"}
    return replace(first, shape=(sum(part.shape[0] for part in parts), first.shape[1]), **rows)  # type: ignore[arg-type]


def _alike(one: QuantTensor, other: QuantTensor) -> bool:
    """In all but their rows. Kind and zero-points tell the codebook."""
    forms = [(each.kind, each.shape[1], each.group, each.device, each.tensors().keys()) for each in (one, other)]
    return forms[0] == forms[1]
