"""Phi-3, 3.5 and 4-mini: Llama with one projection for queries, keys and values, one for gate and up, and longrope."""

from dataclasses import replace
from typing import Any

from loralab_core.architecture.config import DecoderConfig
from loralab_core.architecture.families import llama
from loralab_core.architecture.fields import Fields

MODEL_TYPES = ("phi3",)
SPLIT = ("attention.query", "attention.key", "attention.value", "mlp.gate", "mlp.up")
NAMES = {path: name for path, name in llama.NAMES.items() if not path.endswith(SPLIT)}
NAMES |= {
    "layers.{}.attention.qkv": "model.layers.{}.self_attn.qkv_proj",
    "layers.{}.mlp.gate_up": "model.layers.{}.mlp.gate_up_proj",
}


def decoder_config(raw: dict[str, Any], source: str) -> DecoderConfig:
    config = llama.decoder_config({**raw, "attention_bias": False, "mlp_bias": False}, source)
    window = Fields(raw, source).integer_or_none("sliding_window")
    return replace(config, fused_qkv="blocks", fused_gate_up=True, windows=(window,) * config.layers, names=NAMES)
