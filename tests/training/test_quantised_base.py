"""Training on a base in 4 or 8 bits: it learns as on the dense one, and the adapter is as good as any elsewhere."""

from pathlib import Path
from typing import Any

import pytest
import torch
from peft import PeftModel
from transformers import AutoModelForCausalLM

import loralab_core as ll
from loralab_core.errors import BadInput
from loralab_core.lora import load
from loralab_core.models.parts import Matrix
from loralab_core.ops import linear_cross_entropy
from loralab_core.quant import quantize
from loralab_core.runs.directory import find_run
from tests.training.small_runs import losses, small


def train(fixtures: Path, **changes: Any) -> list[Any]:
    settings = {"model": str(fixtures / "models" / "stories3M"), "val": 0.1, "save_every": 12}
    return list(ll.train(small(fixtures, **settings | changes)))


@pytest.fixture(scope="module")
def on_dense(fixtures_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> list[Any]:
    return train(fixtures_dir, run_dir=str(tmp_path_factory.mktemp("dense") / "run"))


@pytest.mark.parametrize(("base", "apart"), [("nf4", 0.06), ("int4", 0.09), ("int8", 0.005)])
def test_it_learns_as_on_the_dense_base(base: str, apart: float, on_dense: list[Any], fixtures_dir: Path) -> None:
    events = train(fixtures_dir, base=base)
    ours, theirs = losses(events, "eval"), losses(on_dense, "eval")
    assert ours[-1] < 0.95 * ours[0]
    assert ours[-1] == pytest.approx(theirs[-1], rel=apart)
    record = find_run("last").record().prepared
    assert record and record["config"]["base"] == base and record["environment"]["quantised"].startswith(base)


def test_the_adapter_opens_in_peft_on_the_weights_it_was_trained_on(fixtures_dir: Path) -> None:
    done = train(fixtures_dir, base="nf4", steps=3)[-1]
    model = fixtures_dir / "models" / "stories3M"
    lm = load(model, "nf4", "cpu")
    lm.attach(done["adapter"])
    lm.use("default")
    theirs = AutoModelForCausalLM.from_pretrained(model, dtype=torch.float32)
    for module in lm.model.modules():
        if isinstance(module, Matrix) and hasattr(module, "path") and module is not lm.model.head:
            theirs.get_submodule(module.path).weight.data = module.weight.dequantize()
    theirs.model.embed_tokens.weight.data.copy_(lm.model.embedding.weight.dequantize())
    theirs.lm_head.weight.data.copy_(lm.model.head.weight.dequantize())
    ids = torch.arange(5, 45)[None]
    with torch.no_grad():
        ours, bare = lm.model(ids), theirs(ids).logits
        tuned = PeftModel.from_pretrained(theirs, done["adapter"])(ids).logits
    torch.testing.assert_close(ours, tuned, rtol=1e-4, atol=1e-4)
    assert (tuned - bare).abs().max() > 1e-3


def test_all_weights_of_it_cannot_be_trained(fixtures_dir: Path) -> None:
    with pytest.raises(BadInput, match=r"weights in nf4 cannot be trained themselves; use --mode adapter, or --base"):
        train(fixtures_dir, base="nf4", mode="full")


@pytest.mark.parametrize("compute", ["w4a16", "w4a8-grad", "w4a8"])
def test_every_way_of_multiplying_trains(compute: Any, fixtures_dir: Path) -> None:
    events = train(fixtures_dir, base="nf4", compute=compute, steps=4)
    assert events[-1]["event"] == "done" and losses(events)[-1] < losses(events)[0]


def test_answers_multiply_as_they_were_opened_whatever_is_trained(fixtures_dir: Path) -> None:
    lm = load(fixtures_dir / "models" / "stories260K", "nf4", "cpu")
    mlp = lm.model.layers[0].mlp
    with lm.using(None, "w4a8"):
        # what ends a branch, and the head, keep 16 bits where 8 cost too much
        assert (mlp.up.compute, mlp.down.compute, lm.model.head.compute) == ("w4a8", "w4a8-grad", "w4a16")
    assert mlp.up.compute == mlp.down.compute == "auto"
    with pytest.raises(BadInput, match="--compute w4a8 is for quantised weights"):
        load(fixtures_dir / "models" / "stories260K", "fp32", "cpu", compute="w4a8")


def test_the_loss_of_a_quantised_head_is_that_of_its_dense_form() -> None:
    generator = torch.Generator().manual_seed(3)
    hidden, weight = torch.randn(50, 24, generator=generator), torch.randn(97, 24, generator=generator)
    labels, head = torch.arange(50), quantize(weight, "int8")
    found = []
    for each in (head, head.dequantize()):
        x = hidden.clone().requires_grad_()
        loss = linear_cross_entropy(x, each, labels, 0.5, logit_scale=0.7, cap=5.0)
        loss.backward()
        found.append((loss.detach(), x.grad))
    torch.testing.assert_close(found[0], found[1], rtol=1e-5, atol=1e-6)
