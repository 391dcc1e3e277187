"""INT8 as bitsandbytes stores it: whole numbers up to 127, and each row's largest magnitude (arXiv:2208.07339)."""

import torch
from torch import Tensor

from loralab_core.errors import BadInput
from loralab_core.quant.parts import Parts, fits, need

SUFFIXES = (".SCB", ".weight_format")
ROW_MAXIMA, LAYOUT = SUFFIXES
ROW_MAJOR = 0  # the other layouts were those of some GPUs' matrix units
STEP = 7.874015718698502e-3  # 1/127 as bitsandbytes rounds it


def dequantise(weight: Tensor, parts: Parts, block: tuple[int, int], where: str) -> Tensor:
    """`weight` int8 [out, in] → float32 [out, in]. Raises BadInput for parts that are missing or do not fit."""
    (maxima,) = need(parts, [ROW_MAXIMA], weight, where)
    if weight.dtype != torch.int8 or weight.dim() != 2:
        raise BadInput(f"{where} is stored as {weight.dtype}, not as a matrix of int8; download the model again")
    if (layout := parts.get(LAYOUT)) is not None and layout.flatten().tolist() != [ROW_MAJOR]:
        raise BadInput(f"{where} is stored in the layout of one GPU, not row by row; use the unquantised model")
    return weight.float().mul_(fits(maxima.float(), [len(weight), 1], "SCB", where)).mul_(STEP)
