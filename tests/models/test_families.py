"""Every family computes what transformers computes, forward and with a LoRA on every projection backward."""

from pathlib import Path
from typing import Any

import pytest
import torch
from peft import LoraConfig, PeftModel, get_peft_model
from transformers import PreTrainedModel

from loralab_core.architecture.counts import parameter_count
from loralab_core.inference.kv_cache import KVCache
from loralab_core.lora import Adapter, LoraSettings, create_adapter, load_adapter, use_adapter
from loralab_core.lora.peft_experts import as_peft_has_it, wrapped
from loralab_core.models import Decoder, load_decoder
from loralab_core.ops import linear_cross_entropy
from tests.models.checkpoints import logit_error
from tests.models.families import FAMILIES, ids_for, saved

CPU = torch.device("cpu")
CASES = [(family, number) for family, makers in FAMILIES.items() for number in range(len(makers))]


@pytest.fixture(params=CASES, ids=lambda case: f"{case[0]}-{case[1]}")
def tiny(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[Path, PreTrainedModel]:
    return saved(*request.param, tmp_path)


def test_float32_logits(tiny: tuple[Path, PreTrainedModel]) -> None:
    directory, theirs = tiny
    ours = load_decoder(directory, "fp32", CPU)
    ids = ids_for(97)
    with torch.no_grad():
        assert logit_error(ours(ids), theirs(ids).logits) < 1e-4


def test_every_weight_of_the_checkpoint_has_its_place(tiny: tuple[Path, PreTrainedModel]) -> None:
    ours, (_, theirs) = load_decoder(tiny[0], "fp32", CPU), tiny
    count = sum(parameter.numel() for parameter in theirs.parameters())
    assert parameter_count(ours.config) == count == sum(parameter.numel() for parameter in ours.parameters())


@torch.no_grad()
def greedy(model: Any, prompt: torch.Tensor, count: int) -> list[int]:
    cache = KVCache(model.config, model.dtype, model.device)
    said: list[int] = []
    feed = prompt
    while len(said) < count:
        said.append(int(model.logits(model.hidden(feed, cache=cache)[:, -1:])[0, 0].argmax()))
        feed = torch.tensor([said[-1:]])
    return said


def test_greedy_text_with_the_cache(tiny: tuple[Path, PreTrainedModel]) -> None:
    directory, theirs = tiny
    prompt = ids_for(97, 1, 11)
    how: dict[str, Any] = {"do_sample": False, "eos_token_id": None, "pad_token_id": 0}
    expected = theirs.generate(prompt, attention_mask=torch.ones_like(prompt), max_new_tokens=20, **how)[0, 11:]
    assert greedy(load_decoder(directory, "fp32", CPU), prompt, 20) == expected.tolist()


def test_bf16_is_within_the_reference_s_own_error(tiny: tuple[Path, PreTrainedModel]) -> None:
    """By the mean square: the largest single error of a thousand tokens is chance."""
    directory, theirs = tiny
    ids = ids_for(97, rows=16)
    ours = load_decoder(directory, "bf16", CPU)
    with torch.no_grad():
        exact = theirs(ids).logits
        allowed = rms(theirs.to(torch.bfloat16)(ids).logits.float() - exact)
        chance = 1.25 if ours.config.experts else 1.05  # a rounded score may choose another expert, here or there
        assert rms(ours(ids) - exact) < chance * allowed


def rms(x: torch.Tensor) -> float:
    return float(x.pow(2).mean().sqrt())


def test_gradients_of_a_lora_on_every_projection(tiny: tuple[Path, PreTrainedModel], tmp_path: Path) -> None:
    """PEFT's adapter on PEFT's model against the same one read by us, through our own loss and packed attention."""
    directory, theirs = tiny
    ours = load_decoder(directory, "fp32", CPU)
    reference = adapted(theirs, create_adapter(ours, rank=2, alpha=3.0).settings)
    reference.save_pretrained(tmp_path / "adapter")
    adapter = load_adapter(ours, tmp_path / "adapter")
    use_adapter(ours, adapter)
    for tensor in adapter.parameters():
        tensor.requires_grad_(True)
    ids = ids_for(97)
    hidden = ours.hidden(ids)[:, :-1].flatten(0, 1)
    batch_ce(ours, hidden, ids[:, 1:].flatten()).backward()
    logits = reference(ids).logits[:, :-1].flatten(0, 1)
    torch.nn.functional.cross_entropy(logits, ids[:, 1:].flatten(), reduction="sum").backward()
    expected = {name: parameter.grad for name, parameter in reference.named_parameters() if parameter.requires_grad}
    found = gradients(adapter)
    assert len(found) == len(expected)
    for name, gradient in found.items():
        assert logit_error(gradient, expected[name]) < 1e-4, name


def adapted(theirs: PreTrainedModel, settings: LoraSettings) -> PeftModel:
    """With PEFT's own adapter on everything ours would be on, and B away from zero so that A has a gradient."""
    config = LoraConfig(
        r=settings.rank,
        lora_alpha=settings.alpha,
        target_modules=list(settings.targets),
        target_parameters=list(settings.parameters) or None,
        init_lora_weights=False,
        fan_in_fan_out="c_attn" in settings.targets,
    )
    return get_peft_model(theirs, config)


def gradients(adapter: Adapter) -> dict[str, torch.Tensor]:
    """By PEFT's names of the parameters."""
    found = {}
    for path, lora in adapter.layers.items():
        assert lora.a.grad is not None and lora.b.grad is not None
        for half, gradient in zip("AB", as_peft_has_it(lora.a.grad, lora.b.grad), strict=True):
            found[f"base_model.model.{wrapped(path, adapter.layers)}.lora_{half}.default.weight"] = gradient
    return found


def batch_ce(model: Decoder, hidden: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    head, config = model.head, model.config
    return linear_cross_entropy(
        hidden, head.weight, labels, bias=head.bias, logit_scale=config.logit_scale, cap=config.logit_cap
    )
