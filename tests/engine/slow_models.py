"""A real model that takes a second to read although it is small: thousands of experts in one layer.

A layer of its own for each tensor would have to be built as well, and passed through by every token.
"""

import json
import shutil
from pathlib import Path

import numpy as np
from safetensors.numpy import save_file

EXPERTS, HIDDEN = 6000, 8
LAST_EXPERT = f"experts.{EXPERTS - 1}."


def slow_to_read(fixtures: Path, directory: Path, without: str | None = None) -> Path:
    """Random weights under the tokenizer of stories260K, in `directory`; none with `without` in its name."""
    source = fixtures / "models" / "stories260K"
    directory.mkdir()
    config = json.loads((source / "config.json").read_text()) | {
        "architectures": ["MixtralForCausalLM"],
        "model_type": "mixtral",
        "hidden_size": HIDDEN,
        "intermediate_size": HIDDEN,
        "num_hidden_layers": 1,
        "num_attention_heads": 1,
        "num_key_value_heads": 1,
        "head_dim": HIDDEN,
        "num_local_experts": EXPERTS,
        "num_experts_per_tok": 2,
    }
    (directory / "config.json").write_text(json.dumps(config))
    for file in source.glob("*token*"):
        shutil.copyfile(file, directory / file.name)
    tensors = weights(config["vocab_size"], config.get("tie_word_embeddings", False))
    kept = {name: tensor for name, tensor in tensors.items() if without is None or without not in name}
    save_file(kept, directory / "model.safetensors", metadata={"format": "pt"})
    return directory


def weights(vocabulary: int, tied: bool) -> dict[str, np.ndarray]:
    layer = {f"self_attn.{name}_proj.weight": (HIDDEN, HIDDEN) for name in "qkvo"}
    layer |= dict.fromkeys(("input_layernorm.weight", "post_attention_layernorm.weight"), (HIDDEN,))
    layer["block_sparse_moe.gate.weight"] = (EXPERTS, HIDDEN)
    expert = {f"w{number}.weight": (HIDDEN, HIDDEN) for number in (1, 2, 3)}
    layer |= {f"block_sparse_moe.experts.{n}.{name}": shape for n in range(EXPERTS) for name, shape in expert.items()}
    shapes: dict[str, tuple[int, ...]] = {f"model.layers.0.{name}": shape for name, shape in layer.items()}
    shapes |= {"model.embed_tokens.weight": (vocabulary, HIDDEN), "model.norm.weight": (HIDDEN,)}
    shapes |= {} if tied else {"lm_head.weight": (vocabulary, HIDDEN)}
    random = np.random.default_rng(1)
    return {name: 0.1 * random.standard_normal(shape, np.float32) for name, shape in shapes.items()}
