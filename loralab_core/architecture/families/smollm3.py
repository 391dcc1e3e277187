"""SmolLM3: Llama where every fourth layer has no rotary positions."""

from dataclasses import replace
from typing import Any

from loralab_core.architecture.config import DecoderConfig
from loralab_core.architecture.families import llama
from loralab_core.architecture.fields import FULL, SLIDING, Fields

MODEL_TYPES = ("smollm3",)
DEFAULTS = {"num_key_value_heads": 4, "max_position_embeddings": 32768, "rope_theta": 2_000_000.0}


def decoder_config(raw: dict[str, Any], source: str) -> DecoderConfig:
    raw = DEFAULTS | raw
    config, fields = llama.decoder_config(raw, source), Fields(raw, source)
    turned = fields.flags("no_rope_layers", config.layers, _by_interval(fields, config.layers))
    window = fields.integer_or_none("sliding_window") if fields.flag("use_sliding_window") else None
    kinds = fields.layer_types(config.layers, [FULL if window is None or turn else SLIDING for turn in turned])
    return replace(
        config,
        layer_ropes=tuple(0 if turn else None for turn in turned),
        windows=tuple(window if kind == SLIDING else None for kind in kinds),
        tied_head=fields.flag("tie_word_embeddings", True),
    )


def _by_interval(fields: Fields, layers: int) -> list[bool]:
    interval = fields.integer("no_rope_layer_interval", 4)
    return [(layer + 1) % interval != 0 for layer in range(layers)]
