"""Mistral: Llama with a sliding window in every layer."""

from dataclasses import replace
from typing import Any

from loralab_core.architecture.config import DecoderConfig
from loralab_core.architecture.families import llama
from loralab_core.architecture.fields import Fields

MODEL_TYPES = ("mistral",)
DEFAULTS = {"num_key_value_heads": 8, "max_position_embeddings": 131072, "sliding_window": 4096}


def decoder_config(raw: dict[str, Any], source: str) -> DecoderConfig:
    raw = DEFAULTS | raw
    config = llama.decoder_config(raw, source)
    window = Fields(raw, source).integer_or_none("sliding_window")
    return replace(config, qkv_bias=False, output_bias=False, mlp_bias=False, windows=(window,) * config.layers)
