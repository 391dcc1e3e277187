"""GPT-2: learned positions, LayerNorm, biases, one projection for q, k and v, and weights stored as [in, out]."""

from typing import Any

from loralab_core.architecture.config import DecoderConfig
from loralab_core.architecture.fields import Fields

MODEL_TYPES = ("gpt2",)
NAMES = {
    "embedding": "transformer.wte",
    "positions": "transformer.wpe",
    "layers.{}.attention_norm": "transformer.h.{}.ln_1",
    "layers.{}.attention.qkv": "transformer.h.{}.attn.c_attn",
    "layers.{}.attention.output": "transformer.h.{}.attn.c_proj",
    "layers.{}.mlp_norm": "transformer.h.{}.ln_2",
    "layers.{}.mlp.up": "transformer.h.{}.mlp.c_fc",
    "layers.{}.mlp.down": "transformer.h.{}.mlp.c_proj",
    "final_norm": "transformer.ln_f",
    "head": "lm_head",
}


def decoder_config(raw: dict[str, Any], source: str) -> DecoderConfig:
    fields = Fields(raw, source)
    fields.refuse("scale_attn_by_inverse_layer_idx", False)
    fields.refuse("scale_attn_weights", True)
    fields.refuse("add_cross_attention", False)
    hidden, heads, layers = fields.integer("n_embd"), fields.integer("n_head"), fields.layers("n_layer")
    context = fields.integer("n_positions", 1024)
    return DecoderConfig(
        model_type=fields.text("model_type"),
        vocab_size=fields.integer("vocab_size"),
        hidden_size=hidden,
        intermediate_size=fields.integer("n_inner", 4 * hidden),
        layers=layers,
        heads=heads,
        kv_heads=heads,
        head_dim=hidden // heads,
        context=context,
        norm="layer",
        norm_eps=fields.positive("layer_norm_epsilon", 1e-5),
        learned_positions=context,
        layer_ropes=(None,) * layers,
        windows=(None,) * layers,
        fused_qkv="blocks",
        qkv_bias=True,
        output_bias=True,
        mlp_bias=True,
        gated=False,
        activation=fields.activation("activation_function", default="gelu_new"),
        tied_head=fields.flag("tie_word_embeddings", True),
        transposed=True,
        initializer_range=fields.real("initializer_range", 0.02),
        names=NAMES,
    )
