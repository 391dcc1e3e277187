"""Copies of a small model, each broken in one way. Every function gets a writable copy and gives the file at fault."""

import json
from pathlib import Path

from safetensors.numpy import load_file, save_file

WEIGHTS, INDEX, CONFIG = "model.safetensors", "model.safetensors.index.json", "config.json"


def truncated(model: Path) -> Path:
    file = model / WEIGHTS
    file.write_bytes(file.read_bytes()[:-5000])
    return file


def corrupt_header(model: Path) -> Path:
    file = model / WEIGHTS
    content = bytearray(file.read_bytes())
    content[8:40] = b"\xff" * 32
    file.write_bytes(content)
    return file


def absurd_header_length(model: Path) -> Path:
    file = model / WEIGHTS
    file.write_bytes(b"\xff" * 8 + file.read_bytes()[8:])
    return file


def empty_weights(model: Path) -> Path:
    file = model / WEIGHTS
    file.write_bytes(b"")
    return file


def no_weights(model: Path) -> Path:
    (model / WEIGHTS).unlink()
    return model


def missing_shard(model: Path) -> Path:
    names = list(load_file(model / WEIGHTS))
    shards = ["model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"]
    (model / INDEX).write_text(json.dumps({"weight_map": {name: shards[i % 2] for i, name in enumerate(names)}}))
    tensors = load_file(model / WEIGHTS)
    save_file({name: tensors[name] for name in names[::2]}, model / shards[0])
    (model / WEIGHTS).unlink()
    return model / shards[1]


def broken_index(model: Path) -> Path:
    (model / WEIGHTS).unlink()
    (model / INDEX).write_text('{"weight_map": [')
    return model / INDEX


def other_shapes(model: Path) -> Path:
    _set(model, intermediate_size=180)
    return model / WEIGHTS


def missing_tensor(model: Path) -> Path:
    tensors = load_file(model / WEIGHTS)
    del tensors["model.layers.3.mlp.up_proj.weight"]
    save_file(tensors, model / WEIGHTS)
    return model


def unknown_architecture(model: Path) -> Path:
    _set(model, model_type="mamba9", architectures=["Mamba9ForCausalLM"])
    return model / CONFIG


def broken_config(model: Path) -> Path:
    (model / CONFIG).write_text('{"model_type": "llama", ')
    return model / CONFIG


def config_without_a_field(model: Path) -> Path:
    raw = json.loads((model / CONFIG).read_text())
    del raw["hidden_size"]
    (model / CONFIG).write_text(json.dumps(raw))
    return model / CONFIG


def config_of_the_wrong_kind(model: Path) -> Path:
    _set(model, hidden_size="wide")
    return model / CONFIG


def no_config(model: Path) -> Path:
    (model / CONFIG).unlink()
    return model


def broken_tokenizer(model: Path) -> Path:
    (model / "tokenizer.json").write_text("{}")
    return model / "tokenizer.json"


def no_tokenizer(model: Path) -> Path:
    (model / "tokenizer.json").unlink()
    return model


def _set(model: Path, **fields: object) -> None:
    raw = json.loads((model / CONFIG).read_text())
    (model / CONFIG).write_text(json.dumps(raw | fields))


BREAKERS = (
    truncated,
    corrupt_header,
    absurd_header_length,
    empty_weights,
    no_weights,
    missing_shard,
    broken_index,
    other_shapes,
    missing_tensor,
    unknown_architecture,
    broken_config,
    config_without_a_field,
    config_of_the_wrong_kind,
    no_config,
    broken_tokenizer,
    no_tokenizer,
)
