"""FP8 (E4M3) with a scale for each block of rows and columns, as DeepSeek-V3 stores it (arXiv:2412.19437, 3.3.2)."""

from math import ceil

import torch
from torch import Tensor

from loralab_core.errors import BadInput
from loralab_core.quant.parts import Parts, fits, need

SUFFIXES = (".weight_scale_inv",)  # despite its name, what values are multiplied by


def dequantise(weight: Tensor, parts: Parts, block: tuple[int, int], where: str) -> Tensor:
    """`weight` float8 [out, in] → float32 [out, in]; the last blocks of a row or column may be smaller.

    Raises BadInput for a scale that is missing or does not fit.
    """
    (scales,) = need(parts, SUFFIXES, weight, where)
    if weight.dtype != torch.float8_e4m3fn or weight.dim() != 2:
        raise BadInput(f"{where} is stored as {weight.dtype}, not as a matrix of float8_e4m3; download the model again")
    if not scales.dtype.is_floating_point:
        raise BadInput(f"{where}: its scales are {scales.dtype}, which is not read here; use the unquantised model")
    (rows, columns), (high, wide) = weight.shape, block
    scales = fits(scales.float(), [ceil(rows / high), ceil(columns / wide)], SUFFIXES[0], where)
    dense = weight.float()
    for strip, along in zip(torch.split(dense, high), scales, strict=True):
        strip.mul_(along.repeat_interleave(wide)[:columns])
    return dense
