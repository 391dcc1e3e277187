"""A loss that is not a number: the step changes nothing, it is said, and ten of them in a row end the run."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from loralab_core.errors import LoraLabError
from loralab_core.lora.loaded import LoadedModel, load
from loralab_core.runs.config import TrainConfig
from loralab_core.runs.directory import RunDirectory, create_run
from loralab_core.runs.events import Event
from loralab_core.runs.summary import summarise
from loralab_core.training import TICK, Training, resume


@pytest.fixture
def lm(fixtures_dir: Path) -> LoadedModel:
    return load(fixtures_dir / "models" / "stories260K", "fp32", "cpu")


def begin(fixtures: Path, steps: int) -> RunDirectory:
    config = TrainConfig(
        model=str(fixtures / "models" / "stories260K"),
        corpus=(str(fixtures / "corpora" / "the-verdict.txt"),),
        base="fp32",
        device="cpu",
        threads=1,
        seq_len=16,
        batch=2,
        val=0.05,
        save_every=2,
        steps=steps,
    )
    return create_run(config)


def told(run: RunDirectory, lm: LoadedModel) -> Iterator[Event]:
    return (event for event in Training(run, lm).events() if event is not TICK)


def test_one_bad_step_is_left_out(fixtures_dir: Path, lm: LoadedModel) -> None:
    run, gain = begin(fixtures_dir, 6), lm.model.final_norm.weight
    whole, events = gain.clone(), []
    for event in told(run, lm):
        events.append(event)
        if event["event"] == "step":
            gain.fill_(torch.nan) if event["step"] == 2 else gain.copy_(whole)
    losses = [event["loss"] for event in events if event["event"] == "step"]
    assert losses[2] is None and None not in losses[:2] + losses[3:]
    (warning,) = [event for event in events if event["event"] == "warning"]
    assert "step 3" in warning["sentence"] and "changed nothing" in warning["sentence"]
    assert events[-1]["event"] == "done"
    written = [json.loads(line) for line in run.events_path.read_text().splitlines()]
    assert written == [event for event in events if "seq" in event]  # null in the file as well
    adapter = lm.attach(run.adapter)
    assert all(tensor.isfinite().all() for tensor in adapter.parameters())


def test_ten_bad_steps_end_the_run(fixtures_dir: Path, lm: LoadedModel) -> None:
    run, gain = begin(fixtures_dir, 30), lm.model.final_norm.weight
    events = []
    with pytest.raises(LoraLabError, match="10 steps in a row had no finite gradient; .* a lower --lr"):
        for event in told(run, lm):
            events.append(event)
            if event["event"] == "step" and event["step"] == 4:
                gain.fill_(torch.nan)
    assert events[-1]["event"] == "failed" and "--lr" in events[-1]["why"] and events[-1]["kind"] == "failed"
    assert sum(event["event"] == "warning" for event in events) == 10
    assert summarise(run).status == "failed" and not run.owner_path.exists()
    for linear in lm.model.layers.modules():
        assert getattr(linear, "lora", None) is None  # the base answers as the base again


def test_a_run_that_failed_so_goes_on_from_its_checkpoint(fixtures_dir: Path, lm: LoadedModel) -> None:
    run = begin(fixtures_dir, 16)
    with pytest.raises(LoraLabError):
        for event in told(run, lm):
            if event["event"] == "checkpoint":
                lm.model.final_norm.weight.fill_(torch.nan)
    events = list(resume(run))
    assert events[0]["event"] == "resumed" and events[-1]["event"] == "done"
