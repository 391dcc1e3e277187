"""Qwen3: Qwen2 without biases, with a norm on each query and key head."""

from dataclasses import replace
from typing import Any

from loralab_core.architecture.config import DecoderConfig
from loralab_core.architecture.families import llama, qwen2
from loralab_core.architecture.fields import Fields

MODEL_TYPES = ("qwen3",)
NAMES = llama.NAMES | {
    "layers.{}.attention.query_norm": "model.layers.{}.self_attn.q_norm",
    "layers.{}.attention.key_norm": "model.layers.{}.self_attn.k_norm",
}


def decoder_config(raw: dict[str, Any], source: str) -> DecoderConfig:
    raw = qwen2.DEFAULTS | raw
    head_dim = Fields(raw, source).integer("head_dim", 128)
    config = llama.decoder_config({**raw, "head_dim": head_dim}, source)
    return replace(config, mlp_bias=False, qk_norm="head", windows=qwen2.upper_windows(raw, source), names=NAMES)
