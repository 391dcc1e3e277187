"""Numbers as 8-bit codes with one scale for each block of 256 (Dettmers et al., arXiv:2110.02861).

A code is the number of an entry of a sorted map of 256 shares of the block's largest magnitude. The maps are dynamic
(arXiv:1511.04561): seven decades, in even steps, twice as many in each as in the one below it.
"""

from functools import cache

import torch
from torch import Tensor

BLOCK = 256  # elements with one scale
DECADES = 7
TINY = torch.finfo(torch.float32).tiny  # scale of a block of zeros, to divide by


@cache
def dynamic_map(signed: bool) -> Tensor:
    """The 256 shares, float32, rising: from -0.99 or from 0 to 1. The same bits as bitsandbytes'."""
    shares = [0.0, 1.0]
    for decade in range(DECADES):
        borders = torch.linspace(0.1, 1, 2 ** (decade + (not signed)) + 1)
        centres = (borders[:-1] + borders[1:]) / 2 * 10.0 ** (decade + 1 - DECADES)
        shares += centres.tolist() + ((-centres).tolist() if signed else [])
    return torch.tensor(sorted(shares), dtype=torch.float32)


@cache
def map_on(device: torch.device, signed: bool) -> Tensor:
    """The same on a device, copied there once: each copy would wait for everything the device has to do."""
    return dynamic_map(signed).to(device)


def quantize_blockwise(numbers: Tensor, signed: bool) -> tuple[Tensor, Tensor]:
    """float32 [n] → codes uint8 [n] and scales float32 [n / 256, rounded up]. Between two entries: the lower one."""
    n = numbers.numel()
    blocks = torch.nn.functional.pad(numbers, (0, -n % BLOCK)).view(-1, BLOCK)
    scales = blocks.abs().amax(1)
    shares = blocks * (1 / scales.clamp_min(TINY))[:, None]
    entries = map_on(numbers.device, signed)
    borders = (entries[:-1] + entries[1:]) / 2
    return torch.bucketize(shares, borders, out_int32=True).to(torch.uint8).view(-1)[:n], scales


def dequantize_blockwise(codes: Tensor, scales: Tensor, signed: bool) -> Tensor:
    """codes uint8 [n], scales [n / 256, rounded up] → float32 [n]."""
    shares = map_on(codes.device, signed).index_select(0, codes.int())
    return shares.mul_(scales.repeat_interleave(BLOCK)[: codes.numel()])
