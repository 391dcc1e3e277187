"""From a model directory to its DecoderConfig: which family reads which `model_type`."""

import json
from pathlib import Path
from types import ModuleType
from typing import Any

from loralab_core.architecture import llama
from loralab_core.architecture.config import DecoderConfig
from loralab_core.errors import BadInput

FAMILIES: dict[str, ModuleType] = {model_type: family for family in (llama,) for model_type in family.MODEL_TYPES}


def read_config(model_dir: Path) -> DecoderConfig:
    """Raises BadInput when config.json is missing, is not JSON, names an unknown architecture or lacks a field."""
    path = model_dir / "config.json"
    if not model_dir.is_dir():
        raise BadInput(f"{model_dir} is not a directory; give a model directory or a Hub id such as owner/name")
    if not path.is_file():
        raise BadInput(f"{model_dir} has no config.json, so it is not a Hugging Face model directory")
    return parse_config(_read_json(path), str(path))


def parse_config(raw: dict[str, Any], source: str) -> DecoderConfig:
    model_type = raw.get("model_type")
    family = FAMILIES.get(model_type) if isinstance(model_type, str) else None
    if family is None:
        raise BadInput(
            f"{source}: architecture {model_type!r} is not supported (supported: {', '.join(sorted(FAMILIES))})"
        )
    if raw.get("quantization_config"):
        method = raw["quantization_config"].get("quant_method", "quantised")
        raise BadInput(f"{source}: these weights are stored as {method}; use the unquantised model instead")
    config: DecoderConfig = family.decoder_config(raw, source)
    _check(config, source)
    return config


def _check(config: DecoderConfig, source: str) -> None:
    if config.heads % config.kv_heads:
        raise BadInput(f"{source}: {config.heads} query heads cannot share {config.kv_heads} key-value heads evenly")
    if config.head_dim % 2:
        raise BadInput(f"{source}: head_dim {config.head_dim} is odd, rotary positions need an even one")


def _read_json(path: Path) -> dict[str, Any]:
    try:
        raw = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, UnicodeDecodeError) as error:
        raise BadInput(f"{path} is not valid JSON ({error}); download it again") from None
    if not isinstance(raw, dict):
        raise BadInput(f"{path} should hold a JSON object")
    return raw
