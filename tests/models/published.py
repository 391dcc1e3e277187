"""Configurations that were published, and how they are read here."""

from typing import Any

from loralab_core.architecture.counts import parameter_count
from loralab_core.architecture.families import families, parse_config
from loralab_core.errors import BadInput

MILLIONS = {  # of parameters, as their makers state them
    "Llama-3.1-8B-Instruct": 8030.3,
    "Llama-3.2-1B-Instruct": 1235.8,
    "Llama-3.2-3B": 3212.7,
    "Mistral-7B-Instruct-v0.3": 7248.0,
    "Phi-3-mini-4k-instruct": 3821.1,
    "Qwen2.5-0.5B-Instruct": 494.0,
    "Qwen2.5-1.5B-Instruct": 1543.7,
    "Qwen2.5-7B-Instruct": 7615.6,
    "Qwen3-0.6B": 596.0,
    "Qwen3-1.7B": 1720.6,
    "Qwen3-8B": 8190.7,
    "SmolLM2-135M-Instruct": 134.5,
    "SmolLM2-360M-Instruct": 361.8,
    "SmolLM2-1.7B-Instruct": 1711.4,
    "TinyLlama-1.1B-Chat-v1.0": 1100.0,
    "gemma-2b": 2506.2,
    "gemma-2-2b-it": 2614.3,
    "gemma-3-270m-it": 268.1,
    "gemma-3-1b-it": 999.9,
    "phi-2": 2779.7,
}


def reading(name: str, raw: dict[str, Any]) -> dict[str, object]:
    """Of one config.json: its family, its parameters here and as published (where known), or what refuses it."""
    try:
        config = parse_config(raw, "config.json")
    except BadInput as error:
        return {"refused": str(error)}
    family = families()[config.model_type].__name__.rpartition(".")[2]
    return {"family": family, "parameters": parameter_count(config), "published_millions": MILLIONS.get(name)}
