"""Adapters as they lie on the Hub: what their configuration says counts as in PEFT, or is refused by name."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import LoraConfig, PeftModel, get_peft_model
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM

from loralab_core.errors import BadInput
from loralab_core.lora import LoadedModel, create_adapter, load_adapter, save_adapter
from tests.models.checkpoints import logit_error

IDS = torch.arange(2 * 40).view(2, 40) % 97


def dense(base: Path) -> Any:
    return AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32)


def of_peft(base: Path, directory: Path, **how: Any) -> PeftModel:
    torch.manual_seed(0)
    settings = {"r": 4, "lora_alpha": 6, "target_modules": "all-linear", "init_lora_weights": False}
    model = get_peft_model(dense(base), LoraConfig(**settings | how))
    model.save_pretrained(directory)
    return model.eval()


@pytest.mark.parametrize(
    "how",
    [
        {"alpha_pattern": {r".*layers\.1\..*": 30}},
        {"alpha_pattern": {"^model.layers.0.self_attn.q_proj": 30, "q_proj": 1}, "use_rslora": True},
        {"rank_pattern": {r"layers\.[01]\.mlp\..*": 2}, "alpha_pattern": {"(q|k)_proj": 20}},
        {"layers_to_transform": [1], "target_modules": ["q_proj", "up_proj"]},
        {"target_modules": r".*layers\.0.*(q_proj|down_proj)"},
        {"exclude_modules": ["v_proj"]},
    ],
    ids=lambda how: " ".join(how),
)
def test_patterns_mean_what_they_mean_in_peft(
    lm: LoadedModel, base: Path, tmp_path: Path, how: dict[str, object]
) -> None:
    model = of_peft(base, tmp_path / "adapter", **how)
    adapter = load_adapter(lm.model, tmp_path / "adapter")
    save_adapter(adapter, tmp_path / "again", "base")
    again = PeftModel.from_pretrained(dense(base), tmp_path / "again")
    with torch.no_grad(), lm.using(adapter):
        expected = model(IDS).logits
        assert logit_error(lm.model(IDS), expected) < 1e-5
        assert logit_error(again.eval()(IDS).logits, expected) < 1e-5, "written by us, PEFT reads something else"


@pytest.mark.parametrize("start", ("pissa", "pissa_niter_4", "olora"))
def test_an_adapter_of_a_base_that_was_changed_is_refused(
    lm: LoadedModel, base: Path, tmp_path: Path, start: str
) -> None:
    model = of_peft(base, tmp_path / "adapter", init_lora_weights=start)
    unchanged = dense(base)
    weight = model.base_model.model.model.layers[0].self_attn.q_proj.base_layer.weight
    assert not torch.allclose(weight, unchanged.model.layers[0].self_attn.q_proj.weight, atol=1e-4)
    refused(lm, tmp_path / "adapter", start.partition("_")[0], "init_lora_weights")


@pytest.fixture
def adapter(lm: LoadedModel, tmp_path: Path) -> Path:
    save_adapter(create_adapter(lm.model, rank=4, alpha=8), tmp_path / "adapter", "base")
    return tmp_path / "adapter"


def refused(lm: LoadedModel, directory: Path, *words: str) -> None:
    with pytest.raises(BadInput) as raised:
        load_adapter(lm.model, directory)
    sentence = str(raised.value)
    assert "\n" not in sentence and all(word in sentence for word in (str(directory), *words)), sentence


def edit(directory: Path, **changes: Any) -> None:
    path = directory / "adapter_config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({"lora_bias": True}, "lora_bias"),
        ({"trainable_token_indices": [1, 2]}, "trainable_token_indices"),
        ({"alora_invocation_tokens": [1, 2]}, "aLoRA"),
        ({"layer_replication": [[0, 2], [1, 2]]}, "layer_replication"),
        ({"use_qalora": True}, "QALoRA"),
        ({"enable_lora": [True, False]}, "enable_lora"),
        ({"bias": "all"}, "bias"),
        ({"r": 0}, "r"),
        ({"r": -4}, "r"),
        ({"r": 1 << 40}, "rank"),
        ({"lora_alpha": float("nan")}, "lora_alpha"),
        ({"lora_alpha": None}, "lora_alpha"),
        ({"lora_dropout": "some"}, "lora_dropout"),
        ({"rank_pattern": [1]}, "rank_pattern"),
        ({"rank_pattern": {"q_proj": 0}}, "rank_pattern"),
        ({"alpha_pattern": {"q_proj": "x"}}, "alpha_pattern"),
        ({"alpha_pattern": {"(q_proj": 2}}, "valid"),
        ({"target_parameters": 5}, "target_parameters"),
        ({"target_modules": {"a": 1}}, "target_modules"),
    ],
)
def test_what_would_be_computed_otherwise_is_refused_in_one_sentence(
    lm: LoadedModel, adapter: Path, changes: dict[str, Any], word: str
) -> None:
    edit(adapter, **changes)
    refused(lm, adapter, word)


@pytest.mark.parametrize("content", ("[]", "7", "null", "[" * 100_000, "{", "\ufeff{}"))
def test_a_configuration_that_is_no_object_is_refused(lm: LoadedModel, adapter: Path, content: str) -> None:
    (adapter / "adapter_config.json").write_text(content, encoding="utf-8")
    refused(lm, adapter)


def test_an_adapter_that_is_no_number_is_refused(lm: LoadedModel, adapter: Path) -> None:
    tensors = load_file(adapter / "adapter_model.safetensors")
    tensors["base_model.model.model.layers.1.mlp.up_proj.lora_B.weight"][3, 1] = float("nan")
    save_file(tensors, adapter / "adapter_model.safetensors")
    refused(lm, adapter, "layers.1.mlp.up_proj", "no numbers")


@pytest.mark.parametrize(("name", "end"), [("lm_head", "head"), ("model.embed_tokens", "embedding")])
def test_a_trained_head_or_embedding_is_told_as_what_it_is(lm: LoadedModel, adapter: Path, name: str, end: str) -> None:
    tensors = load_file(adapter / "adapter_model.safetensors")
    tensors[f"base_model.model.{name}.weight"] = torch.zeros(97, 48)
    save_file(tensors, adapter / "adapter_model.safetensors")
    refused(lm, adapter, end, "merge")
