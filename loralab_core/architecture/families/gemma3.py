"""Gemma 3, text only: Gemma 2 with normed heads for soft-capping, five windows to each full layer, a rope for each."""

from dataclasses import replace
from typing import Any

from loralab_core.architecture.config import DecoderConfig, Rope
from loralab_core.architecture.families import gemma2, qwen3
from loralab_core.architecture.fields import FULL, SLIDING, Fields
from loralab_core.architecture.rope_fields import rope

MODEL_TYPES = ("gemma3_text",)
DEFAULTS = {"max_position_embeddings": 131072, "rope_theta": 1_000_000.0}
NAMES = qwen3.NAMES | gemma2.NAMES


def decoder_config(raw: dict[str, Any], source: str) -> DecoderConfig:
    raw = DEFAULTS | raw
    plain = {**raw, "rope_parameters": None, "rope_scaling": None}  # in the newer way one for each kind of layer: below
    config, fields = gemma2.decoder_config(plain, source), Fields(raw, source)
    pattern = fields.integer("sliding_window_pattern", fields.integer("_sliding_window_pattern", 6))
    kinds = fields.layer_types(
        config.layers, [SLIDING if (layer + 1) % pattern else FULL for layer in range(config.layers)]
    )
    fields.refuse("attn_logit_softcapping")  # the reference ignores it here: better no answer than another one
    return replace(
        config,
        qk_norm="head",
        attention_cap=None,
        logit_cap=fields.real_or_none("final_logit_softcapping"),
        ropes=_ropes(fields, config.head_dim),
        layer_ropes=tuple(1 if kind == SLIDING else 0 for kind in kinds),
        windows=tuple(fields.integer("sliding_window", 4096) if kind == SLIDING else None for kind in kinds),
        names=NAMES,
    )


def _ropes(fields: Fields, head_dim: int) -> tuple[Rope, Rope]:
    """Of full and of sliding layers."""
    each, scaling = fields.raw.get("rope_parameters") or {}, fields.raw.get("rope_scaling")
    if not isinstance(each, dict) or not set(each) <= {FULL, SLIDING} or (each and scaling):
        raise fields.wrong("rope_parameters", f"objects named {FULL!r} and {SLIDING!r}, without a rope_scaling besides")
    plain = {**fields.raw, "original_max_position_embeddings": None}  # counts only inside here
    full = {**plain, "rope_parameters": each.get(FULL)}
    local = {**plain, "rope_parameters": each.get(SLIDING), "rope_scaling": None}
    local["rope_theta"] = fields.real("rope_local_base_freq", 10000.0)
    return rope(Fields(full, fields.source), head_dim), rope(Fields(local, fields.source), head_dim)
