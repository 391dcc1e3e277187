"""How a config.json says its weights are stored: dense, quantised in a way that opens here, or refused by name."""

import re
from dataclasses import dataclass
from typing import Any, Literal

from loralab_core.architecture.fields import Fields
from loralab_core.errors import BadInput

Format = Literal["bitsandbytes 4-bit", "bitsandbytes 8-bit", "FP8", "MLX", "LoRA Lab"]

SECTIONS = ("quantization_config", "quantization", "compression_config")  # Hugging Face's, MLX's, an older one's

OWN = "loralab"  # as quant_method: our own quantised file, which a base of that kind takes as it is
KINDS = ("nf4", "int4", "int8")

NAMES = {
    "gptq": "GPTQ",
    "awq": "AWQ",
    "aqlm": "AQLM",
    "hqq": "HQQ",
    "eetq": "EETQ",
    "quanto": "Quanto",
    "torchao": "torchao",
    "compressed-tensors": "compressed-tensors",
    "fbgemm_fp8": "FBGEMM FP8",
    "mxfp4": "MXFP4",
    "nvfp4": "NVFP4",
    "bitnet": "BitNet",
    "auto-round": "AutoRound",
    "modelopt": "ModelOpt",
    "vptq": "VPTQ",
    "spqr": "SpQR",
    "higgs": "HIGGS",
    "quark": "Quark",
}


@dataclass(frozen=True)
class Quantised:
    """Weights that become dense while they are read, our own only where they are wanted so."""

    format: Format
    block: tuple[int, int] = (1, 1)  # rows and columns that share a scale; bitsandbytes says it beside each weight
    kind: str | None = None  # of our own: the base that it is


def quantised(raw: dict[str, Any], source: str) -> Quantised | None:
    """None for dense weights. `raw` is the parsed config.json, `source` its path. Raises BadInput where refused."""
    name = next((section for section in SECTIONS if raw.get(section)), None)
    if name is None:
        return None
    section = raw[name]
    if not isinstance(section, dict):
        raise Fields(raw, source).wrong(name, "a JSON object")
    method, fields = section.get("quant_method"), Fields(section, source)
    if method == "bitsandbytes" or (method is None and any(_bits(fields))):
        return _bitsandbytes(fields)
    if method == OWN:
        if (kind := fields.text("base")) not in KINDS:
            raise fields.wrong("base", " or ".join(KINDS))
        return Quantised("LoRA Lab", kind=kind)
    if method == "fp8":
        return _fp8(fields, raw)
    if method is None and "group_size" in section:
        return _mlx(fields, raw)
    raise _refusal(str(method), raw, source)


def without_quantisation(raw: dict[str, Any]) -> dict[str, Any]:
    """The config.json of the same model stored dense."""
    return {name: value for name, value in raw.items() if name not in SECTIONS}


def _bits(fields: Fields) -> tuple[bool, bool]:
    return fields.flag("load_in_4bit"), fields.flag("load_in_8bit")


def _bitsandbytes(fields: Fields) -> Quantised:
    four, eight = _bits(fields)
    if four == eight:
        raise fields.wrong("load_in_4bit", f"the opposite of load_in_8bit (which is {str(eight).lower()})")
    return Quantised("bitsandbytes 4-bit" if four else "bitsandbytes 8-bit")


def _fp8(fields: Fields, raw: dict[str, Any]) -> Quantised:
    """Scales of square blocks, as DeepSeek-V3 introduced them (arXiv:2412.19437, 3.3.2)."""
    block = fields.raw.get("weight_block_size")
    if block is None:
        raise _refusal("FP8 with one scale a tensor", raw, fields.source)
    if not isinstance(block, list) or len(block) != 2 or not all(type(side) is int and side > 0 for side in block):
        raise fields.wrong("weight_block_size", "two positive whole numbers")
    return Quantised("FP8", (block[0], block[1]))


def _mlx(fields: Fields, raw: dict[str, Any]) -> Quantised:
    if (mode := fields.text_or("mode", "affine")) != "affine":
        raise _refusal(f"MLX's {mode}", raw, fields.source)
    group = fields.integer("group_size")
    layers = [each for each in fields.raw.values() if isinstance(each, dict)]
    if any(each.get("group_size", group) != group or each.get("mode", mode) != mode for each in layers):
        raise _refusal("MLX with groups of several sizes", raw, fields.source)
    return Quantised("MLX", (1, group))


def _refusal(method: str, raw: dict[str, Any], source: str) -> BadInput:
    origin = raw.get("_name_or_path")
    known = isinstance(origin, str) and re.fullmatch(r"[\w.-]+/[\w.-]+", origin)
    return BadInput(
        f"{source}: these weights are stored as {NAMES.get(method, method)}, which is not read here; use the "
        f"unquantised model instead{f' ({origin})' if known else ''}, or a bitsandbytes one (often named …-bnb-4bit)"
    )
