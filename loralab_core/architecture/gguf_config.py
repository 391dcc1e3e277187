"""The config.json that belongs to a GGUF file, from its metadata: so families are read in one way only.

Keys are those of gguf/constants.py of ggml-org/llama.cpp, each behind the architecture's name; what a file does not
say but llama.cpp decides by itself is stated in ARCHITECTURES.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

from loralab_core.architecture.gguf_rope import rope
from loralab_core.errors import BadInput
from loralab_core.gguf import GGUFFile

Raw = dict[str, Any]

COMMON = {
    "hidden_size": "embedding_length",
    "intermediate_size": "feed_forward_length",
    "num_hidden_layers": "block_count",
    "num_attention_heads": "attention.head_count",
    "num_key_value_heads": "attention.head_count_kv",
    "max_position_embeddings": "context_length",
    "rms_norm_eps": "attention.layer_norm_rms_epsilon",
    "layer_norm_eps": "attention.layer_norm_epsilon",
    "sliding_window": "attention.sliding_window",
    "attn_logit_softcapping": "attn_logit_softcapping",
    "final_logit_softcapping": "final_logit_softcapping",
    "num_experts_per_tok": "expert_used_count",
}
GPT2 = {
    "n_embd": "embedding_length",
    "n_inner": "feed_forward_length",
    "n_layer": "block_count",
    "n_head": "attention.head_count",
    "n_positions": "context_length",
    "layer_norm_epsilon": "attention.layer_norm_epsilon",
}
GRANITE = {
    "embedding_multiplier": "embedding_scale",
    "attention_multiplier": "attention.scale",
    "residual_multiplier": "residual_scale",
    "logits_scaling": "logit_scale",
}
QWEN3_MOE = {"num_experts": "expert_count", "moe_intermediate_size": "expert_feed_forward_length"}
NEOX = {"use_parallel_residual": "use_parallel_residual"}


class Architecture(NamedTuple):
    """`keys` besides COMMON: our field → GGUF's key. `decided`: fields that follow from those found."""

    model_type: str
    keys: dict[str, str] = {}
    decided: Callable[[Raw, GGUFFile], Raw] = lambda raw, file: {}


def _llama(raw: Raw, file: GGUFFile) -> Raw:
    """The converter calls whatever computes as Llama does by that name: Mistral and Mixtral too."""
    if count := _value(file, "expert_count"):
        return {"model_type": "mixtral", "num_local_experts": count}
    return {"model_type": "mistral"} if raw.get("sliding_window") else {}


def _gemma2(raw: Raw, file: GGUFFile) -> Raw:
    return {"query_pre_attn_scalar": _query_scalar(raw, layers_of_27b=46)}


def _gemma3(raw: Raw, file: GGUFFile) -> Raw:
    pattern = _value(file, "attention.sliding_window_pattern")
    kinds = {True: "sliding_attention", False: "full_attention"}
    return {
        "query_pre_attn_scalar": _query_scalar(raw, layers_of_27b=62),
        "rope_local_base_freq": _value(file, "rope.freq_base_swa", 10000.0),
        "layer_types": [kinds[bool(slides)] for slides in pattern] if isinstance(pattern, list) else None,
        "sliding_window_pattern": pattern if isinstance(pattern, int) else None,
    }


def _neox(raw: Raw, file: GGUFFile) -> Raw:
    return {"rotary_emb_base": raw["rope_theta"], "rotary_pct": raw["partial_rotary_factor"]}


def _query_scalar(raw: Raw, layers_of_27b: int) -> Any:
    """Scores are scaled by the size of a head, in the 27B models by the share of the width that a head has."""
    if raw.get("num_hidden_layers") == layers_of_27b:
        return raw["hidden_size"] // raw["num_attention_heads"]
    return raw["head_dim"]


ARCHITECTURES = {
    "llama": Architecture("llama", decided=_llama),
    "qwen2": Architecture("qwen2"),
    "qwen3": Architecture("qwen3"),
    "qwen3moe": Architecture("qwen3_moe", QWEN3_MOE, lambda raw, file: {"norm_topk_prob": True}),
    "gemma": Architecture("gemma"),
    "gemma2": Architecture("gemma2", decided=_gemma2),
    "gemma3": Architecture("gemma3_text", decided=_gemma3),
    "phi2": Architecture("phi"),
    "phi3": Architecture("phi3"),
    "gpt2": Architecture("gpt2", GPT2),
    "gptneox": Architecture("gpt_neox", NEOX, _neox),
    "olmo2": Architecture("olmo2"),
    "smollm3": Architecture("smollm3"),
    "granite": Architecture("granite", GRANITE),
}


def raw_config(file: GGUFFile) -> Raw:
    """The parsed config.json. Raises BadInput for an architecture that is not known, or metadata that lacks a part."""
    name = file.metadata.get("general.architecture")
    known = ARCHITECTURES.get(name) if isinstance(name, str) else None
    if known is None:
        raise BadInput(
            f"{file.path}: architecture {name!r} is not read from GGUF files (known: {', '.join(ARCHITECTURES)}); "
            f"use the model's directory with config.json and .safetensors files"
        )
    keys = COMMON | known.keys
    found = {field: _value(file, key) for field, key in keys.items()}
    raw = {field: value for field, value in found.items() if value or value is False}  # zero: there is none
    raw |= {"model_type": known.model_type, **_seen(file), **_heads(raw, file)}
    raw |= rope(file, raw["head_dim"], str(name))
    return raw | known.decided(raw, file)


def _value(file: GGUFFile, key: str, default: Any = None) -> Any:
    """A list of one value for each layer is that value, where all are alike."""
    found = file.metadata.get(f"{file.metadata['general.architecture']}.{key}", default)
    if isinstance(found, list) and found and key != "attention.sliding_window_pattern":
        return found[0] if all(each == found[0] for each in found) else found
    return found


def _seen(file: GGUFFile) -> Raw:
    """What the tensors themselves tell."""
    if (table := file.tensors.get("token_embd.weight")) is None:
        raise BadInput(f"{file.path} has no token_embd.weight, so it is no language model; give another file")
    biased = any(f"blk.0.{part}.bias" in file.tensors for part in ("attn_q", "attn_qkv"))
    return {
        "vocab_size": table.shape[0],
        "tie_word_embeddings": "output.weight" not in file.tensors,
        "attention_bias": biased,
        "mlp_bias": "blk.0.ffn_up.bias" in file.tensors,
    }


def _heads(raw: Raw, file: GGUFFile) -> Raw:
    hidden, heads = _value(file, "embedding_length"), _value(file, "attention.head_count")
    for key, value in (("embedding_length", hidden), ("attention.head_count", heads)):
        if not isinstance(value, int) or value < 1:
            raise BadInput(f"{file.path}: {key} should be a positive whole number, found {value!r}; convert it again")
    size = _value(file, "attention.key_length", hidden // heads)
    if _value(file, "attention.value_length", size) != size:
        raise BadInput(f"{file.path}: keys and values of different sizes are a part this decoder does not have")
    return {"head_dim": size, "num_key_value_heads": raw.get("num_key_value_heads", heads)}
