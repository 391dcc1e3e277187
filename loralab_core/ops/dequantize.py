"""Rows of a quantised matrix made dense, as one operator: what the compiled kernels do a hundred times faster."""

from typing import Any

import torch
from torch import Tensor

from loralab_core.ops.library import LIBRARY
from loralab_core.ops.metal.library import metal
from loralab_core.ops.native.gpu import native_gpu
from loralab_core.ops.native.library import native
from loralab_core.ops.quant_matmul import WEIGHT, assembled, parts
from loralab_core.quant.scales import ROWS
from loralab_core.quant.tensor import QuantTensor

LIBRARY.define(  # type: ignore[no-untyped-call]
    f"dequantize({WEIGHT}, int first, int last, int element) -> Tensor"
)
ELEMENTS = (torch.float32, torch.bfloat16, torch.float16)  # as csrc/matrix.h numbers them; the CPU's kernels know two


def dequantize(weight: QuantTensor, dtype: torch.dtype, first: int = 0, last: int | None = None) -> Tensor:
    """Rows [first, last) of the weight, dense [last − first, in]."""
    stop = weight.shape[0] if last is None else last
    if _has_kernel(weight.device, dtype):
        dense: Tensor = torch.ops.loralab.dequantize(*parts(weight), first, stop, ELEMENTS.index(dtype))
        return dense
    return _rows(weight, first, stop).dequantize(dtype)[first % ROWS :]


def _has_kernel(device: torch.device, dtype: torch.dtype) -> bool:
    if device.type == "cuda":
        return dtype in ELEMENTS and "dequantize" in native_gpu(device.index).operators
    if device.type == "mps":
        return dtype in ELEMENTS and "dequantize" in metal().operators
    return device.type == "cpu" and dtype in ELEMENTS[:2] and native().library is not None


def _rows(weight: QuantTensor, first: int, last: int) -> QuantTensor:
    """From the multiple of ROWS at or before `first` on. Raises ValueError."""
    if not 0 <= first <= last <= weight.shape[0]:
        raise ValueError(f"rows {first} to {last} are not among the {weight.shape[0]} of the weight")
    return weight.rows(first - first % ROWS, last)


def _composite(codes: Tensor, scales: Tensor, *arguments: Any) -> Tensor:
    *rest, first, last, element = arguments
    rows = _rows(assembled(codes, scales, *rest), first, last)
    return rows.dequantize(ELEMENTS[element])[first % ROWS :].contiguous()


def _fake(codes: Tensor, *arguments: Any) -> Tensor:
    width, _, first, last, element = arguments[4:]
    return codes.new_empty(last - first, width, dtype=ELEMENTS[element])


LIBRARY.impl("dequantize", _composite, "CompositeExplicitAutograd")  # type: ignore[no-untyped-call]
torch.library.register_fake("loralab::dequantize", _fake, lib=LIBRARY)
