"""Phi-1.5 and Phi-2: attention and MLP beside each other behind one LayerNorm, biases everywhere, partial rotary."""

from dataclasses import replace
from typing import Any

from loralab_core.architecture.config import DecoderConfig
from loralab_core.architecture.families import llama
from loralab_core.architecture.fields import Fields

MODEL_TYPES = ("phi",)
DEFAULTS = {"partial_rotary_factor": 0.5}
NAMES = {path: name for path, name in llama.NAMES.items() if path not in ("layers.{}.mlp.gate", "layers.{}.mlp_norm")}
NAMES |= {
    "layers.{}.attention.output": "model.layers.{}.self_attn.dense",
    "layers.{}.mlp.up": "model.layers.{}.mlp.fc1",
    "layers.{}.mlp.down": "model.layers.{}.mlp.fc2",
    "final_norm": "model.final_layernorm",
}


def decoder_config(raw: dict[str, Any], source: str) -> DecoderConfig:
    config, fields = llama.decoder_config(DEFAULTS | raw, source, partial=True), Fields(raw, source)
    fields.refuse("qk_layernorm", False)
    return replace(
        config,
        norm="layer",
        norm_eps=fields.positive("layer_norm_eps", 1e-5),
        qkv_bias=True,
        output_bias=True,
        mlp_bias=True,
        head_bias=True,
        gated=False,
        activation=fields.activation(default="gelu_new"),
        residual="shared",
        names=NAMES,
    )
