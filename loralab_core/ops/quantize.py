"""Weights to 4 bits by the compiled kernel (csrc/cpu/quantize.h); loralab_core/quant/quantize.py has the reference."""

import torch
from torch import Tensor

from loralab_core.ops.library import LIBRARY
from loralab_core.quant.quantize import COMPILED, Parts, reference

LIBRARY.define(  # type: ignore[no-untyped-call]
    "quantize(Tensor weight, int group, Tensor codebook, bool fitted, bool zero_points) "
    "-> (Tensor, Tensor, Tensor, Tensor)"
)


def use_kernel() -> None:
    """From here on in this process, for weights on the CPU."""
    COMPILED["cpu"] = _by_kernel


def _by_kernel(weight: Tensor, group: int, codebook: Tensor, fitted: bool, zero_points: bool) -> Parts:
    known = weight if weight.dtype in (torch.float32, torch.bfloat16) else weight.float()
    parts: Parts = torch.ops.loralab.quantize(known, group, codebook, fitted, zero_points)
    return parts


def _fake(weight: Tensor, group: int, codebook: Tensor, fitted: bool, zero_points: bool) -> Parts:
    out, groups = weight.shape[0], -(-weight.shape[1] // group)
    codes = weight.new_empty(out, groups * group // 2, dtype=torch.uint8)
    steps = weight.new_empty(-(-out // 16), 2, dtype=torch.float32)
    scales, zeros = (weight.new_empty(rows, groups, dtype=torch.uint8) for rows in (out, out if zero_points else 0))
    return codes, scales, steps, zeros


LIBRARY.impl("quantize", reference, "CompositeExplicitAutograd")  # type: ignore[no-untyped-call]
torch.library.register_fake("loralab::quantize", _fake, lib=LIBRARY)
