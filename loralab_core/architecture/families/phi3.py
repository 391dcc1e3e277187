"""Phi-3, 3.5 and 4-mini: Llama with one projection for queries, keys and values, one for gate and up, and longrope."""

from dataclasses import replace
from typing import Any

from loralab_core.architecture.config import DecoderConfig
from loralab_core.architecture.families import llama
from loralab_core.architecture.fields import Fields
from loralab_core.errors import BadInput

MODEL_TYPES = ("phi3",)
DEFAULTS = {"rms_norm_eps": 1e-5, "max_position_embeddings": 4096, "original_max_position_embeddings": 4096}
SPLIT = ("attention.query", "attention.key", "attention.value", "mlp.gate", "mlp.up")
NAMES = {path: name for path, name in llama.NAMES.items() if not path.endswith(SPLIT)}
NAMES |= {
    "layers.{}.attention.qkv": "model.layers.{}.self_attn.qkv_proj",
    "layers.{}.mlp.gate_up": "model.layers.{}.mlp.gate_up_proj",
}


def decoder_config(raw: dict[str, Any], source: str) -> DecoderConfig:
    raw = DEFAULTS | raw
    for name in ("rope_scaling", "rope_parameters"):
        raw[name] = _renamed(Fields(raw, source), name)
    config = llama.decoder_config({**raw, "attention_bias": False, "mlp_bias": False}, source, partial=True)
    window = Fields(raw, source).integer_or_none("sliding_window")
    return replace(config, fused_qkv="blocks", fused_gate_up=True, windows=(window,) * config.layers, names=NAMES)


def _renamed(fields: Fields, name: str) -> Any:
    """The first releases called longrope "su" and "yarn"; no other scaling is this family's."""
    found = fields.raw.get(name)
    if not isinstance(found, dict) or (kind := found.get("rope_type") or found.get("type")) in (None, "default"):
        return found
    if kind not in ("longrope", "su", "yarn"):
        raise BadInput(f"{fields.source}: rotary scaling {kind!r} is a part Phi-3 does not have (known: longrope)")
    return {**found, "rope_type": "longrope"}
