"""The untrained model: a small Llama with random weights, the same ones for the same seed."""

import json
import math
from pathlib import Path

import torch
from safetensors.torch import save_file

from loralab_core.architecture.families import read_config
from loralab_core.models.decoder import Decoder
from loralab_core.models.naming import checkpoint_tensors
from recipes.pocket.tokenizer import CONTEXT, VOCABULARY

END_OF_TEXT, END_OF_TURN = 0, 4  # the ids of SPECIAL in tokenizer.py
LAYERS = 5
CONFIG = {
    "architectures": ["LlamaForCausalLM"],
    "model_type": "llama",
    "vocab_size": VOCABULARY,
    "hidden_size": 256,
    "intermediate_size": 576,
    "num_hidden_layers": LAYERS,
    "num_attention_heads": 8,
    "num_key_value_heads": 2,
    "head_dim": 32,
    "max_position_embeddings": CONTEXT,
    "hidden_act": "silu",
    "rms_norm_eps": 1e-5,
    "rope_theta": 10000.0,
    "attention_bias": False,
    "mlp_bias": False,
    "tie_word_embeddings": True,
    "initializer_range": 0.02,
    "bos_token_id": END_OF_TEXT,
    "eos_token_id": [END_OF_TURN, END_OF_TEXT],
    "torch_dtype": "float32",
}
GENERATION = {"bos_token_id": END_OF_TEXT, "eos_token_id": [END_OF_TURN, END_OF_TEXT], "max_new_tokens": 200}


def write_initial(folder: Path, seed: int) -> None:
    """config.json, generation_config.json and model.safetensors beside the tokenizer."""
    (folder / "config.json").write_text(json.dumps(CONFIG, indent=2) + "\n", encoding="utf-8")
    (folder / "generation_config.json").write_text(json.dumps(GENERATION, indent=2) + "\n", encoding="utf-8")
    generator = torch.Generator().manual_seed(seed)
    tensors = checkpoint_tensors(Decoder(read_config(folder)))
    drawn = {name: _drawn(name, tensor, generator) for name, tensor in sorted(tensors.items())}
    save_file(drawn, folder / "model.safetensors", metadata={"format": "pt"})


def _drawn(name: str, tensor: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    if name.endswith("norm.weight"):
        return torch.ones(tensor.shape)
    width = 0.02 if "embed" in name else 0.04
    if name.endswith(("o_proj.weight", "down_proj.weight")):  # what a layer adds starts small, as in GPT-2
        width /= math.sqrt(2 * LAYERS)
    return torch.randn(tensor.shape, generator=generator) * width
