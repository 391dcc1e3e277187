"""The decoder inside DeepSeek-OCR: DeepSeek-V2's experts, shared ones besides, with Llama's attention.

DeepSeek-V2's own latent attention is refused by name.
"""

from dataclasses import replace
from typing import Any

from loralab_core.architecture.config import DecoderConfig, Experts
from loralab_core.architecture.families import llama, qwen3_moe
from loralab_core.architecture.fields import Fields
from loralab_core.errors import BadInput

MODEL_TYPES = ("deepseek_v2", "deepseek_vl_v2", "deepseek_ocr2_text")
NAMES = llama.NAMES | {path: name for path, name in qwen3_moe.NAMES.items() if ".mlp." in path}
NAMES |= {
    "layers.{}.mlp.shared.gate": "model.layers.{}.mlp.shared_experts.gate_proj",
    "layers.{}.mlp.shared.up": "model.layers.{}.mlp.shared_experts.up_proj",
    "layers.{}.mlp.shared.down": "model.layers.{}.mlp.shared_experts.down_proj",
}


def decoder_config(raw: dict[str, Any], source: str) -> DecoderConfig:
    inner = raw.get("language_config")
    raw = {**raw, **(inner if isinstance(inner, dict) else {}), "model_type": raw["model_type"]}
    fields = Fields(raw, source)
    latent = raw.get("use_mla", raw["model_type"] != "deepseek_ocr2_text")
    if latent or raw.get("q_lora_rank") or raw.get("kv_lora_rank"):
        raise BadInput(f"{source}: latent attention (MLA) is a part this decoder does not have")
    fields.refuse("topk_method", "greedy")
    fields.refuse("scoring_func", "softmax")
    config = llama.decoder_config({**raw, "head_dim": None}, source)
    inner_size, first = fields.integer("moe_intermediate_size"), fields.integer_or_zero("first_k_dense_replace", 0)
    every = fields.integer("moe_layer_freq", 1)
    experts = Experts(
        count=fields.integer("n_routed_experts"),
        active=fields.integer("num_experts_per_tok"),
        intermediate_size=inner_size,
        shared_size=inner_size * fields.integer_or_zero("n_shared_experts", 0),
        normalised=fields.flag("norm_topk_prob"),
        scale=fields.real("routed_scaling_factor", 1.0),
        layers=tuple(layer >= first and layer % every == 0 for layer in range(config.layers)),
    )
    return replace(config, experts=experts, names=NAMES)
