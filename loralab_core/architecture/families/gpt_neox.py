"""GPT-NeoX and Pythia: attention and MLP beside each other, LayerNorm, partial rotary, q, k and v by turns a head."""

from dataclasses import replace
from typing import Any

from loralab_core.architecture.config import DecoderConfig
from loralab_core.architecture.families import llama
from loralab_core.architecture.fields import Fields

MODEL_TYPES = ("gpt_neox",)
NAMES = {
    "embedding": "gpt_neox.embed_in",
    "layers.{}.attention_norm": "gpt_neox.layers.{}.input_layernorm",
    "layers.{}.attention.qkv": "gpt_neox.layers.{}.attention.query_key_value",
    "layers.{}.attention.output": "gpt_neox.layers.{}.attention.dense",
    "layers.{}.mlp_norm": "gpt_neox.layers.{}.post_attention_layernorm",
    "layers.{}.mlp.up": "gpt_neox.layers.{}.mlp.dense_h_to_4h",
    "layers.{}.mlp.down": "gpt_neox.layers.{}.mlp.dense_4h_to_h",
    "final_norm": "gpt_neox.final_layer_norm",
    "head": "embed_out",
}


def decoder_config(raw: dict[str, Any], source: str) -> DecoderConfig:
    fields = Fields(raw, source)
    named = {"rope_theta": raw.get("rotary_emb_base"), "partial_rotary_factor": fields.real("rotary_pct", 0.25)}
    config = llama.decoder_config({**raw, **named, "head_dim": None, "num_key_value_heads": None}, source, partial=True)
    biased = fields.flag("attention_bias", True)
    return replace(
        config,
        norm="layer",
        norm_eps=fields.positive("layer_norm_eps", 1e-5),
        fused_qkv="heads",
        qkv_bias=biased,
        output_bias=biased,
        mlp_bias=True,
        gated=False,
        activation=fields.activation(default="gelu"),
        residual="parallel" if fields.flag("use_parallel_residual", True) else "sequential",
        names=NAMES,
    )
