"""Qwen3-MoE: Qwen3 with a mixture of experts in all layers or some (`mlp_only_layers`, `decoder_sparse_step`)."""

from dataclasses import replace
from typing import Any

from loralab_core.architecture.config import DecoderConfig, Experts
from loralab_core.architecture.families import qwen2, qwen3
from loralab_core.architecture.fields import Fields

MODEL_TYPES = ("qwen3_moe",)
NAMES = qwen3.NAMES | {
    "layers.{}.mlp.router": "model.layers.{}.mlp.gate",
    "layers.{}.mlp.experts": "model.layers.{}.mlp.experts",
    "layers.{}.mlp.experts.{}.gate": "model.layers.{}.mlp.experts.{}.gate_proj",
    "layers.{}.mlp.experts.{}.up": "model.layers.{}.mlp.experts.{}.up_proj",
    "layers.{}.mlp.experts.{}.down": "model.layers.{}.mlp.experts.{}.down_proj",
}


def decoder_config(raw: dict[str, Any], source: str) -> DecoderConfig:
    raw = qwen2.DEFAULTS | {"num_key_value_heads": 4} | raw
    fields = Fields(raw, source)
    hidden, heads = fields.integer("hidden_size"), fields.integer("num_attention_heads")
    config = qwen3.decoder_config({**raw, "head_dim": fields.integer("head_dim", hidden // heads)}, source)
    window = fields.integer_or_none("sliding_window") if fields.flag("use_sliding_window") else None
    step, plain = fields.integer("decoder_sparse_step", 1), fields.integers("mlp_only_layers")
    experts = Experts(
        count=fields.integer("num_experts", fields.integer("num_local_experts", 128)),
        active=fields.integer("num_experts_per_tok", 8),
        intermediate_size=fields.integer("moe_intermediate_size", 768),
        normalised=fields.flag("norm_topk_prob"),
        layers=tuple(layer not in plain and (layer + 1) % step == 0 for layer in range(config.layers)),
    )
    return replace(config, windows=(window,) * config.layers, experts=experts, names=NAMES)
