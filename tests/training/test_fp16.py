"""Training with activations in fp16: as float32 trains, whatever scale is found, and begun anew to the bit."""

import dataclasses
import json
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

import loralab_core as ll
from loralab_core.errors import BadInput, LoraLabError
from loralab_core.lora import create_adapter, load
from loralab_core.models import loading
from loralab_core.ops import Lora, linear
from loralab_core.runs.config import TrainConfig
from loralab_core.runs.directory import RunDirectory, create_run
from loralab_core.runs.events import Event, live, read
from loralab_core.text.dataset import prepare
from loralab_core.text.packing import Windows, pack
from loralab_core.training import Training, loss_scale, resume
from loralab_core.training.loss_scale import FIRST, LEAST, LossScale
from loralab_core.training.trainer import StepResult, Trainer
from tests.recording import RecorderOnCpu
from tests.training.small_runs import adapter_bytes, losses, small, stopped_after


@pytest.fixture
def windows(fixtures_dir: Path, tmp_path: Path) -> Windows:
    lm = load(fixtures_dir / "models" / "stories260K", "fp32", "cpu")
    corpus = [str(fixtures_dir / "corpora" / "the-verdict.txt")]
    return pack(prepare(corpus, lm.text(), seq_len=64, val=0.0, cache=tmp_path / "cache").train, 64)


def trainer(fixtures: Path, windows: Windows, base: str = "fp16", logit_scale: float = 1.0, **changes: Any) -> Trainer:
    lm = load(fixtures / "models" / "stories260K", base, "cpu")
    lm.model.config = dataclasses.replace(lm.model.config, logit_scale=logit_scale)
    return Trainer(lm, small(fixtures, **changes), windows, 100, create_adapter(lm.model, rank=4, alpha=8.0))


def result(trainer: Trainer) -> tuple[StepResult, int]:
    """Of one step, and how often it was begun anew where each is a pass."""
    *passes, last = trainer.run_step()
    assert isinstance(last, StepResult)
    return last, len(passes)


def weights(trainer: Trainer) -> list[Tensor]:
    return [tensor.detach().clone() for tensor in trainer.named.values()]


def scales(events: list[Event]) -> list[float]:
    return [event["loss_scale"] for event in events if event["event"] == "step"]


def test_a_run_follows_the_one_in_float32(fixtures_dir: Path) -> None:
    asked = {"model": str(fixtures_dir / "models" / "stories3M"), "dropout": 0.1, "val": 0.1}
    asked |= {"steps": 8, "save_every": 8}
    exact, events = (list(ll.train(small(fixtures_dir, base=base, **asked))) for base in ("fp32", "fp16"))
    assert losses(events) == pytest.approx(losses(exact), rel=2e-3)
    assert losses(events, "eval") == pytest.approx(losses(exact, "eval"), rel=2e-3)
    assert scales(events) == [FIRST] * 8 and not any("loss_scale" in event for event in exact)
    record = RunDirectory(Path(events[-1]["run"])).record().prepared
    assert record is not None
    assert record["config"]["base"] == "fp16" and record["environment"]["activations"] == "float16"


@given(st.integers(16, 26), st.integers(1, 40), st.integers(0, 2**31))
def test_a_gradient_too_small_for_fp16_survives(exponent: int, tokens: int, seed: int) -> None:
    """Of 2^-exponent for each token; what fp16 can hold ends at 2^-24, and is exact to three digits from 2^-14 on."""
    draws = torch.Generator().manual_seed(seed)
    x, weight = (torch.randn(size, 32, generator=draws) for size in (tokens, 16))
    a, b = torch.randn(4, 32, generator=draws) / 4, torch.randn(16, 4, generator=draws) / 4
    slope = torch.randn(tokens, 16, generator=draws) * 2.0**-exponent

    def gradients(dtype: torch.dtype, scale: LossScale) -> list[Tensor]:
        leaves = [each.clone().requires_grad_() for each in (a, b)]
        y = linear(x.to(dtype), weight.to(dtype), None, Lora(leaves[0], leaves[1], 2.0))
        (y.float() * (slope * scale.factor)).sum().backward()  # type: ignore[no-untyped-call]
        scale.unscale(leaves)
        return [leaf.grad for leaf in leaves if leaf.grad is not None]

    for exact, found in zip(gradients(torch.float32, one()), gradients(torch.float16, first()), strict=True):
        assert (found - exact).norm() < 0.01 * exact.norm()


def one() -> LossScale:
    return LossScale(torch.float32)


def first() -> LossScale:
    return LossScale(torch.float16)


def test_without_a_scale_small_gradients_are_lost(fixtures_dir: Path, windows: Windows) -> None:
    """Logits that hardly differ (the scale of them is a field of some models) have next to no gradient."""
    exact, scaled, plain = (trainer(fixtures_dir, windows, base, 1e-6) for base in ("fp32", "fp16", "fp16"))
    plain.loss_scale.factor = LEAST
    norms = [result(each)[0].grad_norm for each in (exact, scaled, plain)]
    assert norms[1] == pytest.approx(norms[0], rel=0.05)
    assert norms[2] < 0.2 * norms[0]


def test_a_scale_that_is_too_high_is_halved_until_it_is_the_run_that_began_so(
    fixtures_dir: Path, windows: Windows
) -> None:
    searching = trainer(fixtures_dir, windows)
    searching.loss_scale.factor = 2.0**30
    found = [result(searching) for _ in range(3)]
    tries = [passes + 1 for _, passes in found]
    assert tries[0] > 4 and tries[1:] == [1, 1] and searching.step == 3
    assert not any(step.skipped for step, _ in found)
    knowing = trainer(fixtures_dir, windows)
    knowing.loss_scale.factor = 2.0 ** (30 - tries[0] + 1)
    again = [result(knowing)[0] for _ in range(3)]
    for (ours, _), theirs in zip(found, again, strict=True):
        assert (ours.loss, ours.grad_norm, ours.lr, ours.tokens, ours.loss_scale) == (
            *(theirs.loss, theirs.grad_norm, theirs.lr, theirs.tokens),
            knowing.loss_scale.factor,
        )
    assert all(map(torch.equal, weights(searching), weights(knowing)))


def test_passes_that_are_replayed_take_each_scale(fixtures_dir: Path, windows: Windows) -> None:
    exact, captured, recorder = trainer(fixtures_dir, windows, "fp32"), trainer(fixtures_dir, windows), RecorderOnCpu()
    captured.passes.record = recorder
    captured.loss_scale.factor = 2.0**30
    found = [result(captured)[0] for _ in range(3)]
    assert recorder.recorded == 1 and recorder.replayed > 5
    assert [step.loss for step in found] == pytest.approx([result(exact)[0].loss for _ in range(3)], rel=2e-3)
    assert found[0].loss_scale < 2.0**30 and not found[0].skipped


def test_where_no_scale_helps_the_step_is_left_out(fixtures_dir: Path, windows: Windows) -> None:
    hopeless = trainer(fixtures_dir, windows)
    before, leaf = weights(hopeless), next(iter(hopeless.named.values()))
    handle = leaf.register_hook(lambda gradient: gradient + torch.inf)
    step, passes = result(hopeless)
    assert step.skipped and step.loss_scale == LEAST and 2.0**passes == FIRST
    assert result(hopeless)[1] == 0, "it is not searched for again"
    assert all(map(torch.equal, before, weights(hopeless))) and hopeless.step == 2
    handle.remove()
    assert not result(hopeless)[0].skipped


def test_a_loss_that_is_not_finite_is_no_matter_of_scale(fixtures_dir: Path, windows: Windows) -> None:
    broken = trainer(fixtures_dir, windows)
    broken.lm.model.final_norm.weight.fill_(torch.nan)
    step, passes = result(broken)
    assert step.skipped and passes == 0 and broken.loss_scale.factor == FIRST


def test_ten_of_those_end_the_run_with_what_to_do(fixtures_dir: Path) -> None:
    config = small(fixtures_dir, base="fp16", steps=30)
    lm = load(config.model, "fp16", "cpu")
    with pytest.raises(LoraLabError, match=r"10 steps in a row .* lower --lr than 0\.005, or with --base fp32"):
        for event in Training(create_run(config), lm).events():
            if event["event"] == "step":
                lm.model.layers[0].mlp.down.weight.fill_(6e4)


@cache
def impatient(config: TrainConfig) -> list[Event]:
    """For tests that set PATIENCE."""
    return list(ll.train(config))


@pytest.mark.parametrize("step", [4, 6])
def test_a_resumed_run_has_the_scale_of_the_undisturbed_one(
    step: int, fixtures_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loss_scale, "PATIENCE", 3)
    config = small(fixtures_dir, base="fp16", dropout=0.1, micro_batch=2, steps=8)
    undisturbed = impatient(config)
    run = create_run(config)
    stopped_after(load(config.model, "fp16", "cpu"), run, step)
    events = list(resume(run))
    assert adapter_bytes(events[-1]) == adapter_bytes(undisturbed[-1])
    written = scales(live(read(run.events_path)))
    assert written == scales(undisturbed) == [FIRST * 2 ** ((number - 1) // 3) for number in range(1, 9)]


def test_the_scale_is_a_part_of_the_checkpoint(fixtures_dir: Path) -> None:
    plain, scaled = (list(ll.train(small(fixtures_dir, base=base, steps=5)))[-1] for base in ("fp32", "fp16"))
    files = [Path(each["run"]) / "checkpoints" / "step-000005" / "state.json" for each in (plain, scaled)]
    states = [json.loads(file.read_text()) for file in files]
    assert "loss_scale" not in states[0] and states[1]["loss_scale"] == {"factor": FIRST, "steps": 5}


def test_a_quantised_base_computes_in_fp16_where_the_chip_does(
    fixtures_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    exact = losses(list(ll.train(small(fixtures_dir, base="nf4"))))
    monkeypatch.setattr(loading, "auto_base", lambda *arguments: "fp16")
    events = list(ll.train(small(fixtures_dir, base="nf4")))
    assert losses(events) == pytest.approx(exact, rel=3e-3) and scales(events) == [FIRST] * 12
    record = RunDirectory(Path(events[-1]["run"])).record().prepared
    assert record is not None and record["environment"]["activations"] == "float16"


def test_weights_in_fp16_are_not_trained_themselves(fixtures_dir: Path) -> None:
    with pytest.raises(BadInput, match="use --mode adapter, or --base fp32"):
        list(ll.train(small(fixtures_dir, base="fp16", mode="full")))


def test_answers_are_those_of_float32(fixtures_dir: Path) -> None:
    opened = [load(fixtures_dir / "models" / "stories3M", base, "cpu") for base in ("fp32", "fp16")]
    said = ["".join(ll.generate(lm, "Once upon a time", max_new_tokens=12)) for lm in opened]
    assert said[0] == said[1] != ""
