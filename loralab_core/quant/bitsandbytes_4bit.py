"""NF4 and FP4 as bitsandbytes stores them: two codes a byte, the first in the high half, a scale a block.

With double quantisation the scales are themselves codes of 8 bits: a table, a scale for each block of them, and one
offset (QLoRA, arXiv:2305.14314, section 3).
"""

from math import ceil, prod
from typing import Annotated, Literal

import msgspec
import torch
from torch import Tensor

from loralab_core.errors import BadInput
from loralab_core.quant.codebooks import CODEBOOKS, SLAB, look_up
from loralab_core.quant.parts import Parts, fits, need

SUFFIXES = (
    ".weight.absmax",
    ".weight.quant_map",
    ".weight.nested_absmax",
    ".weight.nested_quant_map",
    ".weight.quant_state.bitsandbytes__nf4",
    ".weight.quant_state.bitsandbytes__fp4",
)
ABSMAX, QUANT_MAP, NESTED_ABSMAX, NESTED_MAP, NF4_STATE, FP4_STATE = SUFFIXES

Positive = Annotated[int, msgspec.Meta(ge=1)]


class QuantState(msgspec.Struct):
    """What bitsandbytes writes as JSON into a tensor of bytes."""

    quant_type: Literal["nf4", "fp4"]
    blocksize: Annotated[int, msgspec.Meta(ge=2, multiple_of=2)]
    shape: list[Positive]
    dtype: Literal["float32", "float16", "bfloat16"]
    nested_blocksize: Positive | None = None
    nested_offset: float | None = None


def dequantise(weight: Tensor, parts: Parts, block: tuple[int, int], where: str) -> Tensor:
    """`weight` of n/2 bytes → [out, in] in the precision it was quantised from, in which bitsandbytes computes.

    Raises BadInput for parts that are missing or do not fit.
    """
    suffix = FP4_STATE if FP4_STATE in parts else NF4_STATE
    absmax, quant_map, packed_state = need(parts, (ABSMAX, QUANT_MAP, suffix), weight, where)
    state = _read_state(packed_state, where)
    codebook = CODEBOOKS[state.quant_type]
    if not torch.allclose(fits(quant_map.float(), [16], "quant_map", where), codebook, rtol=0, atol=1e-5):
        raise BadInput(f"{where}: its quant_map is not the table of {state.quant_type}; download the model again")
    size = prod(state.shape)
    # the codes may be stored under the name of any type (bnb_4bit_quant_storage)
    codes = fits(weight.reshape(-1).view(torch.uint8), [ceil(size / 2)], "tensor of codes", where)
    scales = fits(_scales(absmax, parts, state, where), [ceil(size / state.blocksize)], "absmax", where)
    return _decode(codes, scales, codebook, state, size).view(state.shape)


def _read_state(packed: Tensor, where: str) -> QuantState:
    try:
        return msgspec.json.decode(packed.reshape(-1).view(torch.uint8).numpy().tobytes(), type=QuantState)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise BadInput(f"{where}: its quant_state is damaged ({error}); download the model again") from None


def _scales(absmax: Tensor, parts: Parts, state: QuantState, where: str) -> Tensor:
    if absmax.dtype.is_floating_point:
        return absmax.float()
    if absmax.dtype != torch.uint8:
        raise BadInput(f"{where}: its absmax is stored as {absmax.dtype}; download the model again")
    outer, table = need(parts, (NESTED_ABSMAX, NESTED_MAP), absmax, f"{where}.absmax")
    if state.nested_blocksize is None or state.nested_offset is None:
        raise BadInput(f"{where}: its quant_state lacks nested_blocksize or nested_offset; download the model again")
    blocks = ceil(absmax.numel() / state.nested_blocksize)
    outer = fits(outer.float(), [blocks], "nested_absmax", where).repeat_interleave(state.nested_blocksize)
    table = fits(table.float(), [256], "nested_quant_map", where)
    return table[absmax.reshape(-1).int()] * outer[: absmax.numel()] + state.nested_offset


def _decode(codes: Tensor, scales: Tensor, codebook: Tensor, state: QuantState, size: int) -> Tensor:
    """[size] in state.dtype, a slab of whole blocks at a time."""
    dense = torch.empty(size, dtype=getattr(torch, state.dtype))
    slab = max(1, SLAB // state.blocksize) * state.blocksize
    for start in range(0, size, slab):
        place = dense[start : start + slab]
        values = look_up(codes[start // 2 : (start + slab) // 2], codebook)
        blocks = scales[start // state.blocksize : (start + slab) // state.blocksize]
        place.copy_(values[: len(place)] * blocks.repeat_interleave(state.blocksize)[: len(place)])
    return dense
