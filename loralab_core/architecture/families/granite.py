"""Granite 3: Llama with a factor on the embedding, the scores, the residual branches and the logits."""

from dataclasses import replace
from typing import Any

from loralab_core.architecture.config import DecoderConfig
from loralab_core.architecture.families import llama
from loralab_core.architecture.fields import Fields

MODEL_TYPES = ("granite",)


def decoder_config(raw: dict[str, Any], source: str) -> DecoderConfig:
    fields = Fields(raw, source)
    return replace(
        llama.decoder_config(raw, source),
        embedding_scale=fields.real("embedding_multiplier", 1.0),
        attention_scale=fields.positive("attention_multiplier", 1.0),
        residual_scale=fields.real("residual_multiplier", 1.0),
        logit_scale=1.0 / fields.positive("logits_scaling", 1.0),
    )
