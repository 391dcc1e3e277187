"""Quantised formats: what lies beside a weight in a checkpoint, and how both become a dense tensor."""

from importlib import import_module
from typing import Any

from torch import Tensor

from loralab_core.architecture.quantised import Format, Quantised
from loralab_core.quant.file import load_quantized, save_quantized
from loralab_core.quant.parts import Parts
from loralab_core.quant.quantize import quantize
from loralab_core.quant.tensor import QuantTensor, stacked

__all__ = [
    "FORMATS",
    "QuantTensor",
    "dequantise",
    "load_quantized",
    "quantize",
    "save_quantized",
    "split_part",
    "stacked",
]

FORMATS: dict[Format, str] = {  # and the module that reads it
    "bitsandbytes 4-bit": "bitsandbytes_4bit",
    "bitsandbytes 8-bit": "bitsandbytes_8bit",
    "FP8": "fp8",
    "MLX": "mlx",
}


def split_part(name: str, stored: Quantised) -> tuple[str, str] | None:
    """Which weight a tensor lies beside, and as what part of it: "x.SCB" → ("x.weight", ".SCB"); None for others."""
    suffixes = _reader(stored).SUFFIXES
    suffix = next((suffix for suffix in suffixes if name.endswith(suffix)), None)
    return (f"{name.removesuffix(suffix)}.weight", suffix) if suffix else None


def dequantise(weight: Tensor, parts: Parts, stored: Quantised, where: str) -> Tensor:
    """Dense [out, in] on the CPU. `where` is the file and the name, for the BadInput of what does not fit together."""
    dense: Tensor = _reader(stored).dequantise(weight, parts, stored.block, where)
    return dense


def _reader(stored: Quantised) -> Any:
    return import_module(f"{__name__}.{FORMATS[stored.format]}")
