"""Gemma 3, text only: Gemma 2 with normed heads for soft-capping, five windows to each full layer, a rope for each."""

from dataclasses import replace
from typing import Any

from loralab_core.architecture.config import DecoderConfig
from loralab_core.architecture.families import gemma2, qwen3
from loralab_core.architecture.fields import FULL, SLIDING, Fields
from loralab_core.architecture.rope_fields import rope

MODEL_TYPES = ("gemma3_text",)
NAMES = qwen3.NAMES | gemma2.NAMES


def decoder_config(raw: dict[str, Any], source: str) -> DecoderConfig:
    config, fields = gemma2.decoder_config(raw, source), Fields(raw, source)
    pattern = fields.integer("sliding_window_pattern", fields.integer("_sliding_window_pattern", 6))
    kinds = fields.layer_types(
        config.layers, [SLIDING if (layer + 1) % pattern else FULL for layer in range(config.layers)]
    )
    local = Fields({"rope_theta": fields.real("rope_local_base_freq", 10000.0)}, source)
    fields.refuse("attn_logit_softcapping")  # the reference ignores it here: better no answer than another one
    nested = raw.get("rope_parameters")
    return replace(
        config,
        qk_norm="head",
        attention_cap=None,
        logit_cap=fields.real_or_none("final_logit_softcapping"),
        ropes=(
            rope(fields, config.head_dim, theta=1_000_000.0, kind=FULL),
            rope(fields if nested else local, config.head_dim, kind=SLIDING),
        ),
        layer_ropes=tuple(1 if kind == SLIDING else 0 for kind in kinds),
        windows=tuple(fields.integer("sliding_window", 4096) if kind == SLIDING else None for kind in kinds),
        names=NAMES,
    )
