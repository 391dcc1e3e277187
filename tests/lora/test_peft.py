"""PEFT reads our adapters, we read PEFT's, and the two compute the same."""

import json
from pathlib import Path

import pytest
import torch
from peft import LoraConfig, PeftModel, get_peft_model
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM

from loralab_core.architecture.families import parse_config
from loralab_core.errors import BadInput
from loralab_core.lora import LoadedModel, create_adapter, load, load_adapter, save_adapter
from loralab_core.models.decoder import Decoder
from tests.models.checkpoints import llama, logit_error, save
from tests.models.families import saved

IDS = torch.arange(2 * 40).view(2, 40) % 97


def theirs(base: Path) -> AutoModelForCausalLM:
    return AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32)


def shake(adapter: object, seed: int = 5) -> None:
    generator = torch.Generator().manual_seed(seed)
    for lora in adapter.layers.values():  # type: ignore[attr-defined]
        lora.b.normal_(std=0.1, generator=generator)


@pytest.mark.parametrize("targets", ("all", "attention", "q_proj,v_proj"))
def test_an_adapter_of_ours_opened_with_peft_gives_the_same_logits(
    lm: LoadedModel, base: Path, tmp_path: Path, targets: str
) -> None:
    adapter = create_adapter(lm.model, rank=4, alpha=12, targets=targets)
    shake(adapter)
    save_adapter(adapter, tmp_path / "adapter", "base")
    opened = PeftModel.from_pretrained(theirs(base), tmp_path / "adapter").eval()
    with torch.no_grad(), lm.using(adapter):
        assert logit_error(lm.model(IDS), opened(IDS).logits) < 1e-5


@pytest.mark.parametrize(
    "how", ({}, {"use_rslora": True}, {"rank_pattern": {"q_proj": 2}, "alpha_pattern": {"v_proj": 3}})
)
def test_an_adapter_of_peft_s_opened_here_gives_the_same_logits(
    lm: LoadedModel, base: Path, tmp_path: Path, how: dict[str, object]
) -> None:
    config = LoraConfig(r=4, lora_alpha=6, target_modules="all-linear", init_lora_weights=False, **how)
    model = get_peft_model(theirs(base), config).eval()
    model.save_pretrained(tmp_path / "adapter")
    with torch.no_grad(), lm.using(load_adapter(lm.model, tmp_path / "adapter")):
        assert logit_error(lm.model(IDS), model(IDS).logits) < 1e-5


def test_writing_what_was_read_changes_nothing(lm: LoadedModel, tmp_path: Path) -> None:
    adapter = create_adapter(lm.model, rank=4, alpha=12)
    shake(adapter)
    save_adapter(adapter, tmp_path / "one", "base")
    save_adapter(load_adapter(lm.model, tmp_path / "one"), tmp_path / "two", "base")
    for name in ("adapter_model.safetensors", "adapter_config.json"):
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()


GPT2 = {"model_type": "gpt2", "vocab_size": 50257, "n_embd": 768, "n_head": 12, "n_layer": 12}
REAL = {  # adapter → the configuration it was made on, what it targets, its scale
    "tinyllama-r4-emotion": ("TinyLlama-1.1B-Chat-v1.0.json", {"q_proj", "v_proj"}, 8 / 4),
    "qwen2.5-0.5b-r8": ("Qwen2.5-0.5B-Instruct.json", {"q_proj", "v_proj"}, 16 / 8),
    "gemma3-270m-logo-r4": ("gemma-3-270m-it.json", {"q_proj", "v_proj"}, 4 / 4),
    "gpt2-r8-c_attn": (GPT2, {"c_attn"}, 16 / 8),
}


def shape_of(fixtures: Path, name: str) -> Decoder:
    """The base weights are not here; the shapes are, on a model built from its configuration without memory."""
    source = REAL[name][0]
    raw = json.loads((fixtures / "configs" / source).read_text()) if isinstance(source, str) else source
    with torch.device("meta"):
        return Decoder(parse_config(raw, "config.json"))


@pytest.mark.parametrize("name", REAL)
def test_a_real_adapter_finds_a_place_for_every_tensor(name: str, fixtures_dir: Path) -> None:
    _, targets, scale = REAL[name]
    directory = fixtures_dir / "adapters" / name
    tensors = load_file(directory / "adapter_model.safetensors")
    adapter = load_adapter(shape_of(fixtures_dir, name), directory)
    assert 2 * len(adapter.layers) == len(tensors)
    assert {path.rpartition(".")[2] for path in adapter.layers} == targets
    assert all(lora.scale == scale for lora in adapter.layers.values())


def test_a_config_that_states_fan_in_fan_out_wrongly_changes_nothing(fixtures_dir: Path, tmp_path: Path) -> None:
    """It says how the base stores its weights, which we know; A and B are [rank, in] and [out, rank] either way."""
    base = tmp_path / "base"
    saved("gpt2", 0, base)
    lm = load(base, "fp32", "cpu")
    adapter = create_adapter(lm.model, rank=4, alpha=8)
    shake(adapter)
    save_adapter(adapter, tmp_path / "adapter", "base", lm.model.config.transposed)
    config = tmp_path / "adapter" / "adapter_config.json"
    raw = json.loads(config.read_text())
    assert raw["fan_in_fan_out"] is True, "as PEFT states it for these weights"
    with torch.no_grad():
        expected = PeftModel.from_pretrained(theirs(base), tmp_path / "adapter")(IDS).logits
        config.write_text(json.dumps(raw | {"fan_in_fan_out": False}))
        with lm.using(load_adapter(lm.model, tmp_path / "adapter")):
            assert logit_error(lm.model(IDS), expected) < 1e-5


def test_an_adapter_for_classification_is_refused_by_name(adapter: Path, lm: LoadedModel) -> None:
    config = adapter / "adapter_config.json"
    raw = json.loads(config.read_text())
    config.write_text(json.dumps(raw | {"task_type": "SEQ_CLS", "modules_to_save": ["classifier", "score"]}))
    refused(lm, adapter, "SEQ_CLS", "CAUSAL_LM")


@pytest.mark.parametrize("family", ("qwen3_moe", "mixtral"))
@pytest.mark.parametrize("targets", ("all", "gate_up_proj", "down_proj", "attention"))
def test_adapters_on_experts_are_in_peft_s_layout(family: str, targets: str, tmp_path: Path) -> None:
    base, _ = saved(family, 0, tmp_path / "base")
    lm = load(base, "fp32", "cpu")
    adapter = create_adapter(lm.model, rank=4, alpha=8, targets=targets, dropout=0.1)
    shake(adapter)
    save_adapter(adapter, tmp_path / "adapter", "base")
    opened = PeftModel.from_pretrained(theirs(base), tmp_path / "adapter").eval()
    with torch.no_grad():
        expected = opened(IDS).logits
        for ours in (adapter, load_adapter(lm.model, tmp_path / "adapter")):
            with lm.using(ours):
                assert logit_error(lm.model(IDS), expected) < 1e-5


@pytest.fixture
def adapter(lm: LoadedModel, tmp_path: Path) -> Path:
    save_adapter(create_adapter(lm.model, rank=4, alpha=8), tmp_path / "adapter", "base")
    return tmp_path / "adapter"


def refused(lm: LoadedModel, directory: Path, *words: str) -> None:
    with pytest.raises(BadInput) as raised:
        load_adapter(lm.model, directory)
    assert all(word in str(raised.value) for word in words), raised.value


def test_an_adapter_for_another_shape_is_refused(adapter: Path, tmp_path: Path) -> None:
    other = load(save(llama(hidden_size=96), tmp_path / "other"), "fp32", "cpu")
    refused(other, adapter, "another model", str(adapter))


def test_an_adapter_for_more_layers_is_refused(adapter: Path, tmp_path: Path) -> None:
    other = load(save(llama(num_hidden_layers=1), tmp_path / "other"), "fp32", "cpu")
    refused(other, adapter, "another model", "layers.1")


def test_half_an_adapter_is_refused(lm: LoadedModel, adapter: Path) -> None:
    tensors = load_file(adapter / "adapter_model.safetensors")
    del tensors["base_model.model.model.layers.0.mlp.up_proj.lora_B.weight"]
    save_file(tensors, adapter / "adapter_model.safetensors")
    refused(lm, adapter, "up_proj", "damaged")


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"peft_type": "IA3"}, "IA3"),
        ({"use_dora": True}, "DoRA"),
        ({"task_type": "SEQ_CLS"}, "SEQ_CLS"),
        ({"modules_to_save": ["lm_head"]}, "modules_to_save"),
        ({"r": "four"}, "adapter_config.json"),
    ],
)
def test_other_kinds_of_adapter_are_refused_by_name(
    lm: LoadedModel, adapter: Path, change: dict[str, object], word: str
) -> None:
    path = adapter / "adapter_config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **change}))
    refused(lm, adapter, word)


def test_files_that_are_missing_are_named(lm: LoadedModel, adapter: Path, tmp_path: Path) -> None:
    refused(lm, tmp_path, "adapter_config.json")
    (adapter / "adapter_model.safetensors").rename(adapter / "adapter_model.bin")
    refused(lm, adapter, "pickled")
