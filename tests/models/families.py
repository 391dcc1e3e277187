"""Three tiny random checkpoints of every family, written by transformers itself."""

import copy
import shutil
from collections.abc import Callable
from functools import cache, partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
import transformers as hf
from transformers import PreTrainedModel

from tests.models.checkpoints import LLAMA3_ROPE, SHAPE, shaken
from tests.models.deepseek import deepseek

LONG_ROPE = {
    "rope_type": "longrope",
    "rope_theta": 10000.0,
    "short_factor": [1.0, 1.1, 1.2, 1.5],
    "long_factor": [1.5, 2.5, 3.0, 4.0],
    "original_max_position_embeddings": 32,
}
YARN = {
    "rope_type": "yarn",
    "rope_theta": 10000.0,
    "factor": 4.0,
    "original_max_position_embeddings": 32,
}
GPT2 = {
    "vocab_size": 97,
    "n_embd": 48,
    "n_layer": 2,
    "n_head": 6,
    "n_positions": 256,
    "bos_token_id": 0,
    "eos_token_id": 1,
}
OPT = {key: SHAPE[key] for key in ("vocab_size", "hidden_size", "num_hidden_layers", "num_attention_heads")} | {
    "ffn_dim": 80,
    "word_embed_proj_dim": 48,
    "max_position_embeddings": 256,
}
GEMMA = SHAPE | {"head_dim": 16}
GEMMA3 = GEMMA | {"num_hidden_layers": 4, "query_pre_attn_scalar": 12, "sliding_window": 9}
EXPERTS = {"num_experts": 5, "num_experts_per_tok": 2, "moe_intermediate_size": 24, "head_dim": 8}
OCR = SHAPE | {"n_routed_experts": 6, "num_experts_per_tok": 2, "moe_intermediate_size": 24, "num_key_value_heads": 6}
TWO_ROPES = {
    "full_attention": {"rope_type": "linear", "factor": 8.0, "rope_theta": 1e6},
    "sliding_attention": {"rope_type": "default", "rope_theta": 1e4},
}
SLIDES = {"use_sliding_window": True, "sliding_window": 9, "max_window_layers": 1}


Maker = Callable[[], PreTrainedModel]


def make(family: str, *changes: dict[str, Any], base: dict[str, Any] = SHAPE, config: str = "") -> list[Maker]:
    """One maker for each set of changes."""
    settings = getattr(hf, config or f"{family}Config")
    return [
        partial(lambda change: shaken(hf.AutoModelForCausalLM.from_config(settings(**base | change))), change)
        for change in changes
    ]


FAMILIES: dict[str, list[Maker]] = {
    "llama": make(
        "Llama",
        {"num_key_value_heads": 1, "rope_parameters": LLAMA3_ROPE},
        {"tie_word_embeddings": True, "attention_bias": True, "mlp_bias": True},
        {"num_key_value_heads": 6, "head_dim": 16},
    ),
    "smollm3": make(
        "SmolLM3",
        {"no_rope_layers": [1, 0], "tie_word_embeddings": False},
        {"no_rope_layer_interval": 2, "num_key_value_heads": 6, "attention_bias": True, "mlp_bias": True},
        {"no_rope_layer_interval": 2, "num_key_value_heads": 1, "use_sliding_window": True, "sliding_window": 9},
        base=SHAPE | {"pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2},
    ),
    "mistral": make(
        "Mistral",
        {"sliding_window": 9},
        {"sliding_window": None, "tie_word_embeddings": True, "head_dim": 16},
        {"sliding_window": 200, "num_key_value_heads": 6},
    ),
    "qwen2": make(
        "Qwen2",
        {"tie_word_embeddings": True},
        {"num_key_value_heads": 6},
        {"num_key_value_heads": 1, **SLIDES},
        {"rope_parameters": YARN},
    ),
    "qwen3": make(
        "Qwen3",
        {"tie_word_embeddings": True, "head_dim": 16},
        {"num_key_value_heads": 6, "head_dim": 8, "attention_bias": True},
        {"num_key_value_heads": 1, "head_dim": 8, **SLIDES},
        {"head_dim": 16, "rope_parameters": YARN | {"truncate": False, "attention_factor": 1.3, "beta_fast": 4}},
    ),
    "gemma": make(
        "Gemma",
        {},
        {"num_key_value_heads": 6, "attention_bias": True},
        {"num_key_value_heads": 1, "tie_word_embeddings": False},
        base=GEMMA,
    ),
    "gemma2": make(
        "Gemma2",
        {"sliding_window": 9, "query_pre_attn_scalar": 16, "attn_logit_softcapping": 3.0},
        {
            "num_key_value_heads": 1,
            "tie_word_embeddings": False,
            "final_logit_softcapping": 2.0,
            "sliding_window": 200,
            "attn_logit_softcapping": 1.0,
        },
        {
            "num_key_value_heads": 6,
            "attention_bias": True,
            "attn_logit_softcapping": None,
            "final_logit_softcapping": None,
            "sliding_window": 5,
        },
        base=GEMMA,
    ),
    "gemma3": make(
        "Gemma3",
        {"layer_types": ["sliding_attention", "sliding_attention", "sliding_attention", "full_attention"]},
        {"num_key_value_heads": 1, "rope_parameters": TWO_ROPES, "tie_word_embeddings": False},
        {"num_key_value_heads": 6, "attention_bias": True, "final_logit_softcapping": 3.0},
        base=GEMMA3,
        config="Gemma3TextConfig",
    ),
    "phi": make(
        "Phi",
        {"partial_rotary_factor": 0.5},
        {"num_key_value_heads": 6, "hidden_size": 96, "partial_rotary_factor": 0.25},
        {"num_key_value_heads": 1, "tie_word_embeddings": True},
    ),
    "phi3": make(
        "Phi3",
        {"sliding_window": 9},
        {"num_key_value_heads": 6, "tie_word_embeddings": True, "partial_rotary_factor": 0.75},
        {"rope_parameters": LONG_ROPE, "num_key_value_heads": 1, "original_max_position_embeddings": 32},
        base=SHAPE | {"pad_token_id": 0},
    ),
    "gpt2": make(
        "GPT2",
        {},
        {"tie_word_embeddings": False, "activation_function": "relu"},
        {"n_inner": 60, "n_head": 2},
        base=GPT2,
    ),
    "gpt_neox": make(
        "GPTNeoX",
        {"rotary_pct": 0.25},
        {"use_parallel_residual": False, "tie_word_embeddings": True},
        {"attention_bias": False, "rotary_pct": 1.0, "hidden_act": "gelu_new"},
    ),
    "opt": make(
        "OPT",
        {},
        {"tie_word_embeddings": False, "enable_bias": False},
        {"activation_function": "gelu", "num_attention_heads": 3},
        base=OPT,
    ),
    "olmo2": make(
        "Olmo2",
        {},
        {"num_key_value_heads": 6, "tie_word_embeddings": True},
        {"num_key_value_heads": 1, "attention_bias": True},
    ),
    "granite": make(
        "Granite",
        {"embedding_multiplier": 3.0, "attention_multiplier": 0.2, "residual_multiplier": 0.4, "logits_scaling": 5.0},
        {"num_key_value_heads": 6, "tie_word_embeddings": True, "logits_scaling": 0.5},
        {"num_key_value_heads": 1, "attention_bias": True, "mlp_bias": True, "residual_multiplier": 0.3},
    ),
    "mixtral": make(
        "Mixtral",
        {"num_local_experts": 4},
        {"num_local_experts": 3, "num_experts_per_tok": 1, "num_key_value_heads": 6, "sliding_window": 9},
        {"num_local_experts": 5, "num_experts_per_tok": 3, "tie_word_embeddings": True, "num_key_value_heads": 1},
    ),
    "qwen3_moe": make(
        "Qwen3Moe",
        {"norm_topk_prob": True},
        {"norm_topk_prob": False, "mlp_only_layers": [0], "num_key_value_heads": 6, "tie_word_embeddings": True},
        {"decoder_sparse_step": 2, "num_experts_per_tok": 4, "num_key_value_heads": 1, "attention_bias": True},
        base=SHAPE | EXPERTS,
    ),
}

FAMILIES["deepseek"] = [
    partial(lambda change: deepseek(**change), change)
    for change in (
        {"mlp_layer_types": ["dense", "sparse"], "n_shared_experts": 2},
        {
            "mlp_layer_types": ["sparse", "sparse"],
            "num_key_value_heads": 6,
            "attention_bias": True,
            "mlp_bias": True,
            "routed_scaling_factor": 2.5,
        },
        {
            "mlp_layer_types": ["dense", "sparse"],
            "num_key_value_heads": 1,
            "n_shared_experts": 1,
            "tie_word_embeddings": True,
        },
        {"mlp_layer_types": ["dense", "sparse"], "rope_parameters": YARN | {"mscale": 1.0, "mscale_all_dim": 0.7}},
    )
]


def ids_for(vocabulary: int, rows: int = 2, time: int = 61) -> torch.Tensor:
    return torch.randint(0, vocabulary, (rows, time), generator=torch.Generator().manual_seed(1))


def saved(family: str, number: int, place: Path) -> tuple[Path, PreTrainedModel]:
    """(directory, the reference), both the caller's own."""
    written, model = _written(family, number)
    shutil.copytree(written.name, place, dirs_exist_ok=True)
    return place, copy.deepcopy(model)


@cache
def _written(family: str, number: int) -> "tuple[TemporaryDirectory[str], PreTrainedModel]":
    """Made once in a process: most of what a test of a model so small would take."""
    model, place = FAMILIES[family][number](), TemporaryDirectory()
    model.save_pretrained(Path(place.name))
    return place, model
