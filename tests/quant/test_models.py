"""Quantised repositories open as the dense models they stand for, or are refused by name."""

import json
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from transformers import GPT2Config, GPT2LMHeadModel

from loralab_core.architecture.families import parse_config
from loralab_core.architecture.quantised import Quantised, quantised
from loralab_core.errors import BadInput
from loralab_core.models import load_decoder
from loralab_core.models.loading import fingerprint
from tests.models.checkpoints import edit_config, llama, save, shaken
from tests.quant.models import BITSANDBYTES_4, BITSANDBYTES_8, FP8, MLX, quantised_pair, write_shards
from tests.quant.quantisers import eight_bit, four_bit, fp8, mlx

CPU = torch.device("cpu")
KINDS = {
    "nf4": (four_bit, BITSANDBYTES_4),
    "nf4 nested": (partial(four_bit, nested=True), BITSANDBYTES_4),
    "fp4": (partial(four_bit, kind="fp4"), BITSANDBYTES_4),
    "int8": (eight_bit, BITSANDBYTES_8),
    "fp8": (fp8, FP8),
    "mlx": (mlx, MLX),
}


def logits(directory: Path, base: str = "fp32") -> torch.Tensor:
    with torch.no_grad():
        return load_decoder(directory, base, CPU)(torch.arange(40)[None])


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("base", ["fp32", "bf16"])
def test_it_is_the_dense_model_to_the_last_bit(kind: str, base: str, tmp_path: Path) -> None:
    source = save(llama(), tmp_path / "source")
    stored, dense = quantised_pair(source, tmp_path, *KINDS[kind])
    assert torch.equal(logits(stored, base), logits(dense, base))
    assert not torch.equal(logits(stored, base), logits(source, base))
    assert fingerprint(stored) != fingerprint(source)


def test_skipped_modules_are_dense(tmp_path: Path) -> None:
    config = {**BITSANDBYTES_4["quantization_config"], "llm_int8_skip_modules": ["down_proj", "lm_head"]}
    source = save(llama(), tmp_path / "source")
    stored, dense = quantised_pair(source, tmp_path, four_bit, {"quantization_config": config}, "down_proj")
    assert torch.equal(logits(stored), logits(dense))


@pytest.mark.parametrize("kind", ["nf4", "int8"])
def test_quantised_projections_of_gpt2_are_turned(kind: str, tmp_path: Path) -> None:
    """Dense, they are [in, out]; a square one the wrong way round would not be noticed."""
    model = GPT2LMHeadModel(GPT2Config(vocab_size=97, n_embd=48, n_layer=2, n_head=4, n_positions=64))
    source = save(shaken(model), tmp_path / "source")
    stored, dense = quantised_pair(source, tmp_path, *KINDS[kind], transposed=True)
    assert torch.equal(logits(stored), logits(dense))


def test_what_the_config_does_not_announce_is_refused(tmp_path: Path) -> None:
    source = save(llama(), tmp_path / "source")
    stored, _ = quantised_pair(source, tmp_path, four_bit, BITSANDBYTES_4)
    edit_config(stored, quantization_config=None)
    refused(stored, "model-1.safetensors", ".weight", "uint8", "does not announce")
    edit_config(stored, **BITSANDBYTES_8)
    refused(stored, "model-1.safetensors", ".weight", ".SCB")


def test_bare_float8_is_refused(tmp_path: Path) -> None:
    source = save(llama(), tmp_path / "source")
    tensors = load_file(source / "model.safetensors")
    name = "model.layers.0.mlp.up_proj.weight"
    tensors[name] = tensors[name].to(torch.float8_e4m3fn)
    write_shards(source, {"model.safetensors": tensors})
    refused(source, name, "float8", "does not announce")


def refused(directory: Path, *words: str) -> None:
    with pytest.raises(BadInput) as raised:
        load_decoder(directory, "fp32", CPU)
    sentence = str(raised.value)
    assert "\n" not in sentence and all(word in sentence for word in words), sentence


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("Llama-3.2-3B.bnb", Quantised("bitsandbytes 4-bit")),
        ("Llama-3.2-1B.bnb8bit", Quantised("bitsandbytes 8-bit")),
        ("Llama-3.2-1B", None),
    ],
)
def test_configs_of_real_repositories(name: str, found: Quantised | None, fixtures_dir: Path) -> None:
    raw = json.loads((fixtures_dir / "configs" / f"{name}.json").read_text())
    assert quantised(raw, "config.json") == found
    assert parse_config(raw, "config.json").layers > 0


@pytest.mark.parametrize(
    ("config", "word"),
    [
        ({"quantization_config": {"quant_method": "gptq", "bits": 4, "group_size": 128}}, "GPTQ"),
        ({"quantization_config": {"quant_method": "awq", "bits": 4, "group_size": 128}}, "AWQ"),
        ({"quantization_config": {"quant_method": "hqq"}}, "HQQ"),
        ({"quantization_config": {"quant_method": "eetq"}}, "EETQ"),
        ({"quantization_config": {"quant_method": "aqlm"}}, "AQLM"),
        ({"quantization_config": {"quant_method": "torchao"}}, "torchao"),
        ({"quantization_config": {"quant_method": "fbgemm_fp8"}}, "FBGEMM FP8"),
        ({"quantization_config": {"quant_method": "compressed-tensors"}}, "compressed-tensors"),
        ({"compression_config": {"quant_method": "compressed-tensors"}}, "compressed-tensors"),
        ({"quantization_config": {"quant_method": "fp8", "activation_scheme": "static"}}, "FP8"),
        ({"quantization_config": {"quant_method": "mxfp4"}}, "MXFP4"),
        ({"quantization_config": {"quant_method": "of next year"}}, "of next year"),
        ({"quantization": {"group_size": 32, "bits": 4, "mode": "mxfp4"}}, "MLX"),
        ({"quantization_config": {"bits": 4}, "_name_or_path": "meta-llama/Llama-3.2-1B"}, "(meta-llama/Llama-3.2-1B)"),
        ({"quantization_config": "4bit"}, "JSON object"),
        ({"quantization_config": {"quant_method": "bitsandbytes"}}, "load_in_4bit"),
    ],
)
def test_other_formats_are_refused_by_name(config: dict[str, Any], word: str, fixtures_dir: Path) -> None:
    raw = json.loads((fixtures_dir / "configs" / "Llama-3.2-1B.json").read_text())
    with pytest.raises(BadInput) as raised:
        parse_config(raw | config, "here/config.json")
    assert word in str(raised.value) and "here/config.json" in str(raised.value)
