"""Gemma 2: Gemma with soft-capped scores and logits, a window in every other layer, and norms behind each part too."""

from dataclasses import replace
from typing import Any

from loralab_core.architecture.config import DecoderConfig
from loralab_core.architecture.families import gemma, llama
from loralab_core.architecture.fields import FULL, SLIDING, Fields

MODEL_TYPES = ("gemma2",)
DEFAULTS = {"num_key_value_heads": 4}
NAMES = llama.NAMES | {
    "layers.{}.attention_post_norm": "model.layers.{}.post_attention_layernorm",
    "layers.{}.mlp_norm": "model.layers.{}.pre_feedforward_layernorm",
    "layers.{}.mlp_post_norm": "model.layers.{}.post_feedforward_layernorm",
}


def decoder_config(raw: dict[str, Any], source: str) -> DecoderConfig:
    config, fields = gemma.decoder_config(DEFAULTS | raw, source), Fields(raw, source)
    window = fields.integer("sliding_window", 4096)
    kinds = fields.layer_types(config.layers, [FULL if layer % 2 else SLIDING for layer in range(config.layers)])
    return replace(
        config,
        post_norm=True,
        attention_scale=fields.positive("query_pre_attn_scalar", 256.0) ** -0.5,
        attention_cap=fields.real_or_none("attn_logit_softcapping", 50.0),
        logit_cap=fields.real_or_none("final_logit_softcapping", 30.0),
        windows=tuple(window if kind == SLIDING else None for kind in kinds),
        names=NAMES,
    )
