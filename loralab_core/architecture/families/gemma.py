"""Gemma 1: Llama with a scaled embedding, gains counted from one, a GELU gate and the head tied to the embedding."""

import math
from dataclasses import replace
from typing import Any

from loralab_core.architecture.config import DecoderConfig
from loralab_core.architecture.families import llama
from loralab_core.architecture.fields import Fields

MODEL_TYPES = ("gemma",)


def decoder_config(raw: dict[str, Any], source: str) -> DecoderConfig:
    fields = Fields(raw, source)
    config = llama.decoder_config({**raw, "head_dim": fields.integer("head_dim", 256)}, source)
    activation = fields.activation("hidden_activation", "hidden_act", default="gelu_pytorch_tanh")
    return replace(
        config,
        mlp_bias=False,
        activation="gelu_tanh" if activation == "gelu" else activation,  # early files say gelu and mean this one
        norm_offset=1.0,
        embedding_scale=math.sqrt(config.hidden_size),
        tied_head=fields.flag("tie_word_embeddings", True),
    )
