"""OPT: learned positions that begin at row 2, LayerNorm, biases, ReLU."""

from typing import Any

from loralab_core.architecture.config import DecoderConfig
from loralab_core.architecture.fields import Fields

MODEL_TYPES = ("opt",)
OFFSET = 2  # the first rows of the table were for padding
NAMES = {
    "embedding": "model.decoder.embed_tokens",
    "positions": "model.decoder.embed_positions",
    "layers.{}.attention_norm": "model.decoder.layers.{}.self_attn_layer_norm",
    "layers.{}.attention.query": "model.decoder.layers.{}.self_attn.q_proj",
    "layers.{}.attention.key": "model.decoder.layers.{}.self_attn.k_proj",
    "layers.{}.attention.value": "model.decoder.layers.{}.self_attn.v_proj",
    "layers.{}.attention.output": "model.decoder.layers.{}.self_attn.out_proj",
    "layers.{}.mlp_norm": "model.decoder.layers.{}.final_layer_norm",
    "layers.{}.mlp.up": "model.decoder.layers.{}.fc1",
    "layers.{}.mlp.down": "model.decoder.layers.{}.fc2",
    "final_norm": "model.decoder.final_layer_norm",
    "head": "lm_head",
}


def decoder_config(raw: dict[str, Any], source: str) -> DecoderConfig:
    fields = Fields(raw, source)
    hidden, heads, layers = fields.integer("hidden_size"), fields.integer("num_attention_heads"), fields.layers()
    fields.refuse("word_embed_proj_dim", hidden)
    fields.refuse("do_layer_norm_before", True)
    fields.refuse("_remove_final_layer_norm", False)
    fields.refuse("layer_norm_elementwise_affine", True)
    context, biased = fields.integer("max_position_embeddings", 2048), fields.flag("enable_bias", True)
    return DecoderConfig(
        model_type=fields.text("model_type"),
        vocab_size=fields.integer("vocab_size"),
        hidden_size=hidden,
        intermediate_size=fields.integer("ffn_dim"),
        layers=layers,
        heads=heads,
        kv_heads=heads,
        head_dim=hidden // heads,
        context=context,
        norm="layer",
        norm_eps=1e-5,
        learned_positions=context + OFFSET,
        position_offset=OFFSET,
        layer_ropes=(None,) * layers,
        windows=(None,) * layers,
        qkv_bias=biased,
        output_bias=biased,
        mlp_bias=biased,
        gated=False,
        activation=fields.activation("activation_function", default="relu"),
        tied_head=fields.flag("tie_word_embeddings", True),
        initializer_range=fields.real("init_std", 0.02),
        names=NAMES,
    )
