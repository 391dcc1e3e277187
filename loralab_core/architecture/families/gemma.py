"""Gemma 1: Llama with a scaled embedding, gains counted from one, a GELU gate and the head tied to the embedding."""

import math
from dataclasses import replace
from typing import Any

from loralab_core.architecture.config import Activation, DecoderConfig
from loralab_core.architecture.families import llama
from loralab_core.architecture.fields import Fields

MODEL_TYPES = ("gemma",)
DEFAULTS = {"num_key_value_heads": 16, "max_position_embeddings": 8192}


def decoder_config(raw: dict[str, Any], source: str) -> DecoderConfig:
    fields = Fields(raw, source)
    fields.refuse("use_bidirectional_attention", False)
    config = llama.decoder_config({**DEFAULTS, **raw, "head_dim": fields.integer("head_dim", 256)}, source)
    return replace(
        config,
        mlp_bias=False,
        activation=_activation(fields),
        norm_offset=1.0,
        embedding_scale=math.sqrt(config.hidden_size),
        tied_head=fields.flag("tie_word_embeddings", True),
    )


def _activation(fields: Fields) -> Activation:
    """Early files have only `hidden_act`: "gelu", and mean the approximation."""
    if fields.raw.get("hidden_activation"):
        return fields.activation("hidden_activation")
    found = fields.activation("hidden_act", default="gelu_pytorch_tanh")
    return "gelu_tanh" if found == "gelu" else found
