"""Qwen2 and Qwen2.5: Llama with biases on queries, keys and values, and, where switched on, windows in upper layers."""

from dataclasses import replace
from typing import Any

from loralab_core.architecture.config import DecoderConfig
from loralab_core.architecture.families import llama
from loralab_core.architecture.fields import FULL, SLIDING, Fields

MODEL_TYPES = ("qwen2",)
DEFAULTS = {"num_key_value_heads": 32, "max_position_embeddings": 32768, "sliding_window": 4096}


def decoder_config(raw: dict[str, Any], source: str) -> DecoderConfig:
    raw = DEFAULTS | raw
    config = llama.decoder_config(raw, source)
    return replace(config, qkv_bias=True, output_bias=False, mlp_bias=False, windows=upper_windows(raw, source))


def upper_windows(raw: dict[str, Any], source: str) -> tuple[int | None, ...]:
    """The layers from `max_window_layers` on slide, where `use_sliding_window` says so."""
    fields = Fields(raw, source)
    layers, window = fields.layers(), fields.integer_or_none("sliding_window")
    first = fields.integer_or_zero("max_window_layers", 28)
    slides = window is not None and fields.flag("use_sliding_window")
    kinds = fields.layer_types(layers, [SLIDING if slides and layer >= first else FULL for layer in range(layers)])
    return tuple(window if slides and kind == SLIDING else None for kind in kinds)
