"""Mixtral: Mistral whose MLPs are a mixture of experts."""

from dataclasses import replace
from typing import Any

from loralab_core.architecture.config import DecoderConfig, Experts
from loralab_core.architecture.families import llama, mistral
from loralab_core.architecture.fields import Fields

MODEL_TYPES = ("mixtral",)
DEFAULTS = {"rms_norm_eps": 1e-5, "rope_theta": 1_000_000.0, "sliding_window": None}
NAMES = {path: name for path, name in llama.NAMES.items() if ".mlp." not in path}
NAMES |= {
    "layers.{}.mlp.router": "model.layers.{}.block_sparse_moe.gate",
    "layers.{}.mlp.experts": "model.layers.{}.mlp.experts",
    "layers.{}.mlp.experts.{}.gate": "model.layers.{}.block_sparse_moe.experts.{}.w1",
    "layers.{}.mlp.experts.{}.up": "model.layers.{}.block_sparse_moe.experts.{}.w3",
    "layers.{}.mlp.experts.{}.down": "model.layers.{}.block_sparse_moe.experts.{}.w2",
}


def decoder_config(raw: dict[str, Any], source: str) -> DecoderConfig:
    config, fields = mistral.decoder_config(DEFAULTS | raw, source), Fields(raw, source)
    experts = Experts(
        count=fields.integer("num_local_experts", 8),
        active=fields.integer("num_experts_per_tok", 2),
        intermediate_size=config.intermediate_size,
        layers=(True,) * config.layers,
    )
    return replace(config, experts=experts, names=NAMES)
