"""Quantised copies of a small model, and the dense model whose values they stand for."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from safetensors.torch import load_file, save_file
from torch import Tensor

from tests.quant.quantisers import Quantised

WEIGHTS, INDEX = "model.safetensors", "model.safetensors.index.json"
BITSANDBYTES_4 = {"quantization_config": {"quant_method": "bitsandbytes", "load_in_4bit": True, "load_in_8bit": False}}
BITSANDBYTES_8 = {"quantization_config": {"quant_method": "bitsandbytes", "load_in_4bit": False, "load_in_8bit": True}}
FP8 = {"quantization_config": {"quant_method": "fp8", "activation_scheme": "dynamic", "weight_block_size": [16, 16]}}
MLX = {"quantization": {"group_size": 16, "bits": 4}}


def quantised_pair(
    source: Path,
    place: Path,
    quantise: Callable[[Tensor], Quantised],
    config: dict[str, Any],
    stays_dense: str = "lm_head",
    transposed: bool = False,
) -> tuple[Path, Path]:
    """(quantised directory, dense directory) under `place`. What lies beside a weight is in another shard than it."""
    stored, dense = place / "quantised", place / "dense"
    shutil.copytree(source, stored)
    shutil.copytree(source, dense)
    (stored / WEIGHTS).unlink()
    main: dict[str, Tensor] = {}
    beside: dict[str, Tensor] = {}
    values = load_file(source / WEIGHTS)
    for name, tensor in tuple(values.items()):
        if tensor.dim() != 2 or "embed" in name or ".wte" in name or ".wpe" in name or stays_dense in name:
            main[name] = tensor
            continue
        module = name.removesuffix(".weight")
        parts, value = quantise(tensor.t() if transposed else tensor)
        values[name] = (value.t() if transposed else value).contiguous()
        main[name] = parts.pop(".weight").contiguous()
        beside |= {module + suffix: part for suffix, part in parts.items()}
    write_shards(stored, {"model-1.safetensors": main, "model-2.safetensors": beside})
    save_file(values, dense / WEIGHTS)
    raw = json.loads((source / "config.json").read_text())
    (stored / "config.json").write_text(json.dumps(raw | config))
    return stored, dense


def write_shards(directory: Path, shards: dict[str, dict[str, Tensor]]) -> None:
    for file, tensors in shards.items():
        save_file(tensors, directory / file)
    where = {name: file for file, tensors in shards.items() for name in tensors}
    (directory / INDEX).write_text(json.dumps({"weight_map": where}))
