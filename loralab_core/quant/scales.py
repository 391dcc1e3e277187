"""Scales as codes of 8 bits ("double quantisation"; QLoRA, arXiv:2305.14314, section 3).

ROWS rows share a step and an offset, so that any ROWS rows of a matrix, from a multiple of ROWS on, stand alone.
"""

import torch
from torch import Tensor

ROWS = 16
TINY = 1e-30  # instead of dividing by zero


def encode_scales(scales: Tensor) -> tuple[Tensor, Tensor]:
    """float32 [rows, groups] → codes, uint8, and step and offset of every ROWS rows [rows / ROWS rounded up, 2]."""
    blocks = [scales[start : start + ROWS] for start in range(0, len(scales), ROWS)]
    steps = torch.stack([torch.stack([(block.max() - block.min()) / 255, block.min()]) for block in blocks])
    step, offset = _of_rows(steps, 0, len(scales))
    return ((scales - offset) / step.clamp_min(TINY)).round().clamp(0, 255).to(torch.uint8), steps


def decode_scales(codes: Tensor, steps: Tensor, start: int = 0) -> Tensor:
    """float32 [rows, groups] of rows from `start` on; `steps` are those of the whole matrix."""
    step, offset = _of_rows(steps, start, len(codes))
    return torch.addcmul(offset, codes.float(), step)


def _of_rows(steps: Tensor, start: int, count: int) -> tuple[Tensor, Tensor]:
    """Step and offset of each row, [count, 1]."""
    blocks = torch.arange(start, start + count, device=steps.device) // ROWS
    step, offset = steps.index_select(0, blocks)[..., None].unbind(1)
    return step, offset
