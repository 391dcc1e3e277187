"""Tiny random checkpoints of the Llama family, written by transformers itself."""

import json
from pathlib import Path
from typing import Any

import torch
from transformers import LlamaConfig, LlamaForCausalLM, MistralConfig, MistralForCausalLM, PreTrainedModel

SHAPE: dict[str, Any] = {
    "vocab_size": 97,
    "hidden_size": 48,
    "intermediate_size": 80,
    "num_hidden_layers": 2,
    "num_attention_heads": 6,
    "num_key_value_heads": 2,
    "max_position_embeddings": 256,
}

LLAMA3_ROPE = {
    "rope_type": "llama3",
    "rope_theta": 500000.0,
    "factor": 8.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 64,
}


def llama(**changes: Any) -> PreTrainedModel:
    """Weights large enough for every part to matter: a default init leaves attention almost uniform."""
    return shaken(LlamaForCausalLM(LlamaConfig(**{**SHAPE, **changes})))


def mistral(**changes: Any) -> PreTrainedModel:
    return shaken(MistralForCausalLM(MistralConfig(**{**SHAPE, **changes})))


def shaken(model: PreTrainedModel) -> PreTrainedModel:
    generator = torch.Generator().manual_seed(7)
    for parameter in model.parameters():
        noise = torch.randn(parameter.shape, generator=generator)
        parameter.data = 1 + 0.2 * noise if parameter.dim() == 1 else 0.15 * noise
    return model.eval()


def save(model: PreTrainedModel, directory: Path, **how: Any) -> Path:
    model.save_pretrained(directory, **how)
    return directory


def edit_config(directory: Path, **changes: Any) -> None:
    path = directory / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def logit_error(ours: torch.Tensor, theirs: torch.Tensor) -> float:
    """max|Δ| / max|reference|, as the contract counts it."""
    return float((ours - theirs).abs().max() / theirs.abs().max())
