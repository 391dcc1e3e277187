"""A real model that takes seconds to open although it is small: thousands of layers of tiny weights."""

import json
import shutil
from pathlib import Path

import torch
from safetensors.torch import save_file

LAYERS, HIDDEN, INNER = 2000, 8, 8


def slow_to_read(fixtures: Path, directory: Path) -> Path:
    """Random weights under the tokenizer of stories260K, in `directory`."""
    source = fixtures / "models" / "stories260K"
    directory.mkdir()
    config = json.loads((source / "config.json").read_text()) | {
        "hidden_size": HIDDEN,
        "intermediate_size": INNER,
        "num_hidden_layers": LAYERS,
        "num_attention_heads": 1,
        "num_key_value_heads": 1,
        "head_dim": HIDDEN,
    }
    (directory / "config.json").write_text(json.dumps(config))
    for file in source.glob("*token*"):
        shutil.copyfile(file, directory / file.name)
    save_file(weights(config["vocab_size"], config.get("tie_word_embeddings", False)), directory / "model.safetensors")
    return directory


def weights(vocabulary: int, tied: bool) -> dict[str, torch.Tensor]:
    square = {f"self_attn.{name}_proj.weight": (HIDDEN, HIDDEN) for name in "qkvo"}
    inner = {"mlp.gate_proj.weight": (INNER, HIDDEN), "mlp.up_proj.weight": (INNER, HIDDEN)}
    norms = dict.fromkeys(("input_layernorm.weight", "post_attention_layernorm.weight"), (HIDDEN,))
    shapes: dict[str, tuple[int, ...]] = {
        "model.embed_tokens.weight": (vocabulary, HIDDEN),
        "model.norm.weight": (HIDDEN,),
    }
    shapes |= {} if tied else {"lm_head.weight": (vocabulary, HIDDEN)}
    layer = square | inner | {"mlp.down_proj.weight": (HIDDEN, INNER)} | norms
    shapes |= {f"model.layers.{n}.{name}": shape for n in range(LAYERS) for name, shape in layer.items()}
    generator = torch.Generator().manual_seed(1)
    return {name: 0.1 * torch.randn(shape, generator=generator) for name, shape in shapes.items()}
