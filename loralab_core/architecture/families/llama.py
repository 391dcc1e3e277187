"""Llama 2, 3, 3.1 and 3.2, TinyLlama, SmolLM2: RMSNorm, rotary positions, grouped queries, SwiGLU; others vary it."""

from typing import Any

from loralab_core.architecture.config import DecoderConfig
from loralab_core.architecture.fields import Fields
from loralab_core.architecture.rope_fields import rope

MODEL_TYPES = ("llama",)

NAMES = {
    "embedding": "model.embed_tokens",
    "layers.{}.attention_norm": "model.layers.{}.input_layernorm",
    "layers.{}.attention.query": "model.layers.{}.self_attn.q_proj",
    "layers.{}.attention.key": "model.layers.{}.self_attn.k_proj",
    "layers.{}.attention.value": "model.layers.{}.self_attn.v_proj",
    "layers.{}.attention.output": "model.layers.{}.self_attn.o_proj",
    "layers.{}.mlp_norm": "model.layers.{}.post_attention_layernorm",
    "layers.{}.mlp.gate": "model.layers.{}.mlp.gate_proj",
    "layers.{}.mlp.up": "model.layers.{}.mlp.up_proj",
    "layers.{}.mlp.down": "model.layers.{}.mlp.down_proj",
    "final_norm": "model.norm",
    "head": "lm_head",
}


def decoder_config(raw: dict[str, Any], source: str, partial: bool = False) -> DecoderConfig:
    """`raw` is the parsed config.json, `source` its path for messages, `partial` as in `rope`. Raises BadInput."""
    fields = Fields(raw, source)
    hidden, heads = fields.integer("hidden_size"), fields.integer("num_attention_heads")
    layers, head_dim = fields.layers(), fields.integer("head_dim", hidden // heads)
    biased = fields.flag("attention_bias")
    return DecoderConfig(
        model_type=fields.text("model_type"),
        vocab_size=fields.integer("vocab_size"),
        hidden_size=hidden,
        intermediate_size=fields.integer("intermediate_size"),
        layers=layers,
        heads=heads,
        kv_heads=fields.integer("num_key_value_heads", heads),
        head_dim=head_dim,
        context=fields.integer("max_position_embeddings", 2048),
        norm_eps=fields.positive("rms_norm_eps", 1e-6),
        ropes=(rope(fields, head_dim, partial=partial),),
        layer_ropes=(0,) * layers,
        windows=(None,) * layers,
        qkv_bias=biased,
        output_bias=biased,
        mlp_bias=fields.flag("mlp_bias"),
        tied_head=fields.flag("tie_word_embeddings"),
        activation=fields.activation(),
        initializer_range=fields.real("initializer_range", 0.02),
        names=NAMES,
    )
