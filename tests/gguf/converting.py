"""transformers' models as llama.cpp's converter writes them, for the tests: names, metadata and reordered rows."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers import PreTrainedModel

from tests.gguf.writer import Written, stored, write

NAMES = {  # transformers' name of a module, without what stands before the layer's number → GGUF's
    "embed_tokens": "token_embd",
    "wte": "token_embd",
    "wpe": "position_embd",
    "embed_in": "token_embd",
    "norm": "output_norm",
    "ln_f": "output_norm",
    "final_layernorm": "output_norm",
    "final_layer_norm": "output_norm",
    "lm_head": "output",
    "embed_out": "output",
    "input_layernorm": "attn_norm",
    "ln_1": "attn_norm",
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.qkv_proj": "attn_qkv",
    "attn.c_attn": "attn_qkv",
    "attention.query_key_value": "attn_qkv",
    "self_attn.q_norm": "attn_q_norm",
    "self_attn.k_norm": "attn_k_norm",
    "self_attn.o_proj": "attn_output",
    "self_attn.dense": "attn_output",
    "attention.dense": "attn_output",
    "attn.c_proj": "attn_output",
    "post_attention_layernorm": "ffn_norm",
    "pre_feedforward_layernorm": "ffn_norm",
    "post_feedforward_layernorm": "post_ffw_norm",
    "ln_2": "ffn_norm",
    "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up",
    "mlp.gate_up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
    "mlp.fc1": "ffn_up",
    "mlp.fc2": "ffn_down",
    "mlp.c_fc": "ffn_up",
    "mlp.c_proj": "ffn_down",
    "mlp.dense_h_to_4h": "ffn_up",
    "mlp.dense_4h_to_h": "ffn_down",
    "mlp.gate": "ffn_gate_inp",
    "mlp.experts.down_proj": "ffn_down_exps",
}
POST_NORMS = ("gemma2", "gemma3_text", "olmo2")  # there post_attention_layernorm stands behind the attention
ARCHITECTURES = {
    "mistral": "llama",
    "mixtral": "llama",
    "qwen3_moe": "qwen3moe",
    "gemma3_text": "gemma3",
    "phi": "phi2",
    "gpt_neox": "gptneox",
}
KEYS = {
    "context_length": ("max_position_embeddings", "n_positions"),
    "embedding_length": ("hidden_size",),
    "feed_forward_length": ("intermediate_size",),
    "block_count": ("num_hidden_layers",),
    "attention.head_count": ("num_attention_heads",),
    "attention.head_count_kv": ("num_key_value_heads",),
    "attention.key_length": ("head_dim",),
    "attention.value_length": ("head_dim",),
    "attention.layer_norm_rms_epsilon": ("rms_norm_eps",),
    "attention.layer_norm_epsilon": ("layer_norm_eps", "layer_norm_epsilon"),
    "attn_logit_softcapping": ("attn_logit_softcapping",),
    "final_logit_softcapping": ("final_logit_softcapping",),
    "embedding_scale": ("embedding_multiplier",),
    "attention.scale": ("attention_multiplier",),
    "residual_scale": ("residual_multiplier",),
    "logit_scale": ("logits_scaling",),
    "use_parallel_residual": ("use_parallel_residual",),
    "expert_count": ("num_experts", "num_local_experts"),
    "expert_used_count": ("num_experts_per_tok",),
    "expert_feed_forward_length": ("moe_intermediate_size",),
}

Quantise = Callable[[np.ndarray, str], Written]


def convert(
    model: PreTrainedModel,
    path: Path,
    quantise: Quantise = lambda array, name: stored(array),
    extra: dict[str, Written] | None = None,
) -> Path:
    """`quantise(array, name)` chooses how each matrix is stored; vectors are F32, as in real files."""
    config = model.config
    metadata = _metadata(config)
    tensors = {}
    for name, tensor in _tensors(model, config).items():
        array = tensor.detach().float().numpy()
        tensors[name] = stored(array) if array.ndim == 1 else quantise(array, name)
    return write(path, metadata, tensors | (extra or {}))


def _metadata(config: Any) -> dict[str, Any]:
    name = ARCHITECTURES.get(config.model_type, config.model_type)
    found = {key: _first(config, fields) for key, fields in KEYS.items()}
    if found["feed_forward_length"] is None:
        found["feed_forward_length"] = config.n_inner or 4 * config.n_embd
    if config.model_type in ("gemma2", "gemma3_text", "phi3", "mistral"):
        found["attention.sliding_window"] = config.sliding_window
    if config.model_type == "gemma3_text":
        found["attention.sliding_window_pattern"] = [kind == "sliding_attention" for kind in config.layer_types]
    found |= _rope(config)
    stated = {f"{name}.{key}": value for key, value in found.items() if value is not None}
    return {"general.architecture": name, **stated}


def _first(config: Any, fields: Sequence[str]) -> Any:
    return next((value for field in fields if (value := getattr(config, field, None)) is not None), None)


def _rope(config: Any) -> dict[str, Any]:
    rope = getattr(config, "rope_parameters", None) or {}
    rope = rope.get("full_attention", rope)
    head = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
    found = {"rope.freq_base": rope.get("rope_theta")}
    if (share := rope.get("partial_rotary_factor")) is not None:
        found["rope.dimension_count"] = int(head * share)
    if rope.get("rope_type") == "linear":
        found |= {"rope.scaling.type": "linear", "rope.scaling.factor": rope["factor"]}
    if rope.get("rope_type") == "yarn":
        found |= {"rope.scaling.type": "yarn", "rope.scaling.factor": rope["factor"]}
        found["rope.scaling.original_context_length"] = rope["original_max_position_embeddings"]
    if rope.get("rope_type") == "longrope":
        factor = config.max_position_embeddings / rope["original_max_position_embeddings"]
        magnitude = float(np.sqrt(1 + np.log(factor) / np.log(rope["original_max_position_embeddings"])))
        found["rope.scaling.attn_factor"] = magnitude
        found["rope.scaling.original_context_length"] = rope["original_max_position_embeddings"]
    return found


def _tensors(model: PreTrainedModel, config: Any) -> dict[str, torch.Tensor]:
    found: dict[str, torch.Tensor] = {}
    for name, tensor in model.named_parameters():
        if name == "lm_head.weight" and config.tie_word_embeddings:
            continue
        module, _, leaf = name.rpartition(".")
        if name.endswith("experts.gate_up_proj"):
            gate, up = tensor.chunk(2, dim=1)
            layer = _split(module)[0]
            found |= {f"{layer}ffn_gate_exps.weight": gate, f"{layer}ffn_up_exps.weight": up}
        elif name.endswith("experts.down_proj"):
            found[f"{_split(module)[0]}ffn_down_exps.weight"] = tensor
        else:
            found[f"{_name(module, config)}.{leaf}"] = _reordered(tensor, name, config)
    return found | _rope_factors(config)


def _split(module: str) -> tuple[str, str]:
    """("blk.3.", what follows the number), or ("", the last part)"""
    parts = module.split(".")
    at = next((place for place, part in enumerate(parts) if part.isdigit()), None)
    return ("", parts[-1]) if at is None else (f"blk.{parts[at]}.", ".".join(parts[at + 1 :]))


def _name(module: str, config: Any) -> str:
    layer, rest = _split(module)
    if rest == "post_attention_layernorm" and config.model_type in POST_NORMS:
        return f"{layer}post_attention_norm"
    return layer + NAMES[rest]


def _reordered(tensor: torch.Tensor, name: str, config: Any) -> torch.Tensor:
    kind = config.model_type
    if kind.startswith("gemma") and name.endswith("norm.weight"):
        return tensor + 1
    if kind == "gpt2" and name.endswith(("c_attn.weight", "c_proj.weight", "c_fc.weight")):
        return tensor.T
    if kind in ("llama", "mistral", "mixtral", "smollm3", "granite"):
        if ".q_proj." in name:
            return permuted(tensor, config.num_attention_heads)
        if ".k_proj." in name:
            return permuted(tensor, config.num_key_value_heads)
    if kind == "gpt_neox" and ".query_key_value." in name:
        heads = config.num_attention_heads
        return tensor.reshape(heads, 3, -1, *tensor.shape[1:]).transpose(0, 1).reshape(tensor.shape)
    return tensor


def permuted(tensor: torch.Tensor, heads: int) -> torch.Tensor:
    """The two halves of each head, row by row in turn."""
    rows = tensor.reshape(heads, 2, tensor.shape[0] // heads // 2, *tensor.shape[1:])
    return rows.swapaxes(1, 2).reshape(tensor.shape)


def _rope_factors(config: Any) -> dict[str, torch.Tensor]:
    """Llama 3's scaling as one divisor for each pair; the lists of longrope."""
    rope = getattr(config, "rope_parameters", None) or {}
    if rope.get("rope_type") == "longrope":
        lists = {"long": rope["long_factor"], "short": rope["short_factor"]}
        return {f"rope_factors_{name}.weight": torch.tensor(factors) for name, factors in lists.items()}
    if rope.get("rope_type") != "llama3":
        return {}
    size = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
    original, low, high = (
        rope[name] for name in ("original_max_position_embeddings", "low_freq_factor", "high_freq_factor")
    )
    factors = []
    for pair in range(0, size, 2):
        wavelength = 2 * np.pi * rope["rope_theta"] ** (pair / size)
        smooth = np.clip((original / wavelength - low) / (high - low), 0, 1)
        factors.append(1 / ((1 - smooth) / rope["factor"] + smooth))
    return {"rope_freqs.weight": torch.tensor(factors)}
