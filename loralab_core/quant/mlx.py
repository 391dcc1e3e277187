"""MLX's affine quantisation: w = scale · q + bias in groups along a row, q packed from each row's lowest bit on."""

import torch
from torch import Tensor

from loralab_core.errors import BadInput
from loralab_core.quant.parts import Parts, fits, need

SUFFIXES = (".scales", ".biases")
WIDTHS = (2, 3, 4, 5, 6, 8)  # bits of a value
SLAB = 1 << 15  # values unpacked at a time: they stay in the cache


def dequantise(weight: Tensor, parts: Parts, block: tuple[int, int], where: str) -> Tensor:
    """`weight` uint32 [out, in · bits / 32] → [out, in] in the precision of its scales [out, in / group].

    Raises BadInput for parts that are missing or do not fit.
    """
    scales, biases = need(parts, SUFFIXES, weight, where)
    if weight.dtype != torch.uint32 or weight.dim() != 2:
        raise BadInput(f"{where} is stored as {weight.dtype}, not as a matrix of uint32; download the model again")
    rows, group = len(weight), block[1]
    scales = fits(scales, [rows, max(1, scales.numel() // max(1, rows))], "scales", where)
    biases = fits(biases, scales.shape, "biases", where)
    columns = group * scales.shape[1]
    bits, rest = divmod(32 * weight.shape[1], columns)
    if rest or bits not in WIDTHS:
        raise BadInput(
            f"{where}: {weight.shape[1]} words of 32 bits cannot hold {columns} values; download the model again"
        )
    dense = torch.empty(rows, columns, dtype=scales.dtype)
    step = max(1, SLAB // columns)
    for start in range(0, rows, step):
        part = slice(start, start + step)
        values = _unpack(weight[part].view(torch.uint8), bits, columns).view(-1, columns // group, group)
        # rounded after each of the two, as MLX does
        dense[part] = (values.to(dense.dtype) * scales[part, :, None] + biases[part, :, None]).flatten(1)
    return dense


def _unpack(codes: Tensor, bits: int, count: int) -> Tensor:
    """int32 [rows, count]: value j has the bits from j · bits on, the lowest first; two bytes at most hold it."""
    start = torch.arange(count, dtype=torch.int32) * bits
    first = start // 8
    second = (first + 1).clamp(max=codes.shape[1] - 1)
    pair = codes.index_select(1, first).int() | codes.index_select(1, second).int() << 8
    return pair >> start % 8 & (1 << bits) - 1
