"""OLMo 2: Llama with norms behind attention and MLP instead of before them, and on whole queries and keys."""

from dataclasses import replace
from typing import Any

from loralab_core.architecture.config import DecoderConfig
from loralab_core.architecture.families import llama, qwen3

MODEL_TYPES = ("olmo2",)
NAMES = qwen3.NAMES | {
    "layers.{}.attention_post_norm": "model.layers.{}.post_attention_layernorm",
    "layers.{}.mlp_post_norm": "model.layers.{}.post_feedforward_layernorm",
}


def decoder_config(raw: dict[str, Any], source: str) -> DecoderConfig:
    config = llama.decoder_config({"rms_norm_eps": 1e-5} | raw, source)
    return replace(config, mlp_bias=False, qk_norm="projection", pre_norm=False, post_norm=True, names=NAMES)
