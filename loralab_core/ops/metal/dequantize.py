"""Rows of a quantised matrix made dense, by csrc/metal/dequantize.metal."""

from typing import NamedTuple

import torch
from torch import Tensor

from loralab_core.ops.metal.launch import NAMES, Argument, Kernels, cut, packed

EIGHT_COLUMNS, SIZE = 8, (32, 8)
ELEMENTS = (torch.float32, torch.bfloat16, torch.float16)  # as loralab::dequantize numbers them


class Packed(NamedTuple):
    """A weight as kernels take it."""

    bits: str  # "4bit" or "8bit", as kernels are named
    arguments: list[Argument]  # buffers 0 to 5 (WEIGHT_BUFFERS of csrc/metal/weight.metal)
    shape: tuple[int, int]


def weight_arguments(
    codes: Tensor,
    scales: Tensor,
    steps: Tensor | None,
    codebook: Tensor | None,
    zeros: Tensor | None,
    width: int,
    group: int,
) -> Packed:
    given = [
        packed(codes),
        packed(scales),
        *(scales if each is None else packed(each) for each in (steps, codebook, zeros)),
    ]
    bits = "8bit" if codebook is None else "4bit"
    return Packed(bits, [*given, [len(codes), width, group, int(zeros is not None)]], (len(codes), width))


def dequantize_to(kernels: Kernels, dense: Tensor, weight: Packed, first: int, last: int) -> None:
    """Rows [first, last) into `dense` [last − first, in], contiguous, of any of the three types."""
    groups = (cut(cut(dense.shape[1], EIGHT_COLUMNS), SIZE[0]), cut(last - first, SIZE[1]))
    name = f"dequantize_{weight.bits}_{NAMES[dense.dtype]}"
    kernels.run("dequantize", name, *weight.arguments, [first, last], dense, groups=groups, size=SIZE)


def dequantize(
    kernels: Kernels,
    codes: Tensor,
    scales: Tensor,
    steps: Tensor | None,
    codebook: Tensor | None,
    zeros: Tensor | None,
    width: int,
    group: int,
    first: int,
    last: int,
    element: int,
) -> Tensor:
    """loralab::dequantize. Raises ValueError for rows that are not there."""
    if not 0 <= first <= last <= len(codes):
        raise ValueError(f"rows {first} to {last} are not among the {len(codes)} of the weight")
    dense = codes.new_empty(last - first, width, dtype=ELEMENTS[element])
    weight = weight_arguments(codes, scales, steps, codebook, zeros, width, group)
    dequantize_to(kernels, dense, weight, first, last)
    return dense
