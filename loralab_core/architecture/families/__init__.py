"""One small file a family: which `model_type` it reads, what the checkpoint's weights are called, and how its
config.json becomes a DecoderConfig. A file put here is found by itself.
"""

import importlib
import json
import pkgutil
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

from loralab_core.architecture.config import DecoderConfig, Rope
from loralab_core.architecture.counts import parameter_count
from loralab_core.architecture.fields import Fields
from loralab_core.architecture.gguf_config import raw_config
from loralab_core.architecture.quantised import quantised
from loralab_core.errors import BadInput
from loralab_core.gguf import is_gguf, read_gguf

MOST_PARAMETERS = 10**13


@cache
def families() -> dict[str, ModuleType]:
    """`model_type` → the module that reads it."""
    names = sorted(found.name for found in pkgutil.iter_modules(__path__))
    modules = [importlib.import_module(f"{__name__}.{name}") for name in names]
    return {model_type: module for module in modules for model_type in module.MODEL_TYPES}


def read_config(source: Path) -> DecoderConfig:
    """Of a model directory or a GGUF file.

    Raises BadInput when config.json is missing, is not JSON, names an unknown architecture or lacks a field.
    """
    if is_gguf(source):
        return parse_config(raw_config(read_gguf(source)), str(source))
    return parse_config(read_raw_config(source), str(source / "config.json"))


def stored_base(source: Path) -> str | None:
    """The base that a model is stored as in our own quantised form; None for every other one. Raises BadInput."""
    stored = None if is_gguf(source) else quantised(read_raw_config(source), str(source / "config.json"))
    return stored.kind if stored else None


def read_raw_config(model_dir: Path) -> dict[str, Any]:
    """config.json as it is. Raises BadInput when it is missing or is not a JSON object."""
    path = model_dir / "config.json"
    if not model_dir.is_dir():
        raise BadInput(f"{model_dir} is not a directory; give a model directory or a Hub id such as owner/name")
    if not path.is_file():
        if files := sorted(model_dir.glob("*.gguf")):
            raise BadInput(f"{model_dir} has no config.json; give its GGUF file, for instance {files[0]}")
        raise BadInput(f"{model_dir} has no config.json, so it is not a Hugging Face model directory")
    return _read_json(path)


def parse_config(raw: dict[str, Any], source: str) -> DecoderConfig:
    """`raw` is the parsed config.json, `source` its path for error messages. Raises BadInput."""
    model_type = raw.get("model_type")
    family = families().get(model_type) if isinstance(model_type, str) else None
    if family is None and raw.get("auto_map"):
        raise BadInput(
            f"{source}: architecture {model_type!r} runs on code of its own (auto_map), which is never executed here; "
            "look for a copy in a supported architecture, often named -hf"
        )
    if family is None:
        raise BadInput(
            f"{source}: architecture {model_type!r} is not supported (supported: {', '.join(sorted(families()))})"
        )
    Fields(raw, source).refuse("is_causal", True)
    quantised(raw, source)  # refused here already, where only the config is looked at
    config: DecoderConfig = family.decoder_config(raw, source)
    _check(config, source)
    return config


def _check(config: DecoderConfig, source: str) -> None:
    if config.head_dim < 1:
        raise BadInput(f"{source}: {config.heads} heads cannot share a width of {config.hidden_size}")
    if (count := parameter_count(config)) > MOST_PARAMETERS:
        raise BadInput(f"{source} asks for {count:,} parameters; download it again")
    if config.heads % config.kv_heads:
        raise BadInput(f"{source}: {config.heads} query heads cannot share {config.kv_heads} key-value heads evenly")
    for rope in config.ropes:
        _check_rope(rope, config.head_dim, source)
    if config.experts and not 1 <= config.experts.active <= config.experts.count:
        raise BadInput(f"{source}: a token cannot go through {config.experts.active} of {config.experts.count} experts")


def _check_rope(rope: Rope, head_dim: int, source: str) -> None:
    if rope.size % 2 or not 0 < rope.size <= head_dim:
        raise BadInput(
            f"{source}: rotary positions need an even number of a head's {head_dim} dimensions, not {rope.size}"
        )
    scaling = rope.scaling
    for factors in (scaling.short_factors, scaling.long_factors) if scaling and scaling.kind == "longrope" else ():
        if len(factors) != rope.size // 2:
            raise BadInput(f"{source}: longrope gives {len(factors)} factors for {rope.size // 2} pairs")


def _read_json(path: Path) -> dict[str, Any]:
    try:
        raw = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise BadInput(f"{path} is not valid JSON ({error}); download it again") from None
    if not isinstance(raw, dict):
        raise BadInput(f"{path} should hold a JSON object")
    return raw
