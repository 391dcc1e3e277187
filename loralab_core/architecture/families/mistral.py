"""Mistral: Llama with a sliding window in every layer."""

from dataclasses import replace
from typing import Any

from loralab_core.architecture.config import DecoderConfig
from loralab_core.architecture.families import llama
from loralab_core.architecture.fields import Fields

MODEL_TYPES = ("mistral",)


def decoder_config(raw: dict[str, Any], source: str) -> DecoderConfig:
    config = llama.decoder_config(raw, source)
    window = Fields(raw, source).integer_or_none("sliding_window")
    return replace(config, qkv_bias=False, output_bias=False, mlp_bias=False, windows=(window,) * config.layers)
