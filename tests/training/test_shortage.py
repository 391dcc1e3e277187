"""Running out of memory in a run of this process: what is begun anew, what is recorded, what a resumed run does."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch

import loralab_core as ll
from loralab_core.errors import OutOfMemory
from loralab_core.lora import load
from loralab_core.runs.config import TrainConfig
from loralab_core.runs.directory import create_run
from loralab_core.runs.events import Event, read
from loralab_core.training import TICK, Training, resume
from loralab_core.training.trainer import StepResult, Trainer
from tests.training.small_runs import adapter_bytes, losses, small


@dataclass
class Device:
    """It does not hold a pass of more than `holds` windows from step `since` on."""

    holds: int = 1 << 60
    since: int = 1


@pytest.fixture
def device(monkeypatch: pytest.MonkeyPatch) -> Device:
    """What every trainer of the test runs on."""
    narrow, whole = Device(), Trainer.run_step

    def run_step(trainer: Trainer) -> Iterator[None | StepResult]:
        if trainer.step + 1 >= narrow.since and trainer.micro_batch > narrow.holds:
            if trainer.micro_batch < trainer.config.batch:
                yield next(whole(trainer))  # some of the step is computed before
            torch.empty(1 << 60)  # what PyTorch really says then
        yield from whole(trainer)

    monkeypatch.setattr(Trainer, "run_step", run_step)
    return narrow


def training(config: TrainConfig) -> Training:
    return Training(create_run(config), load(config.model, "fp32", "cpu"))


def trained(config: TrainConfig) -> list[Event]:
    return [event for event in training(config).events() if event is not TICK]


def of_kind(events: list[Event], kind: str) -> list[Event]:
    return [event for event in events if event["event"] == kind]


def test_a_run_that_shrinks_is_the_run_that_began_so(device: Device, fixtures_dir: Path) -> None:
    device.holds = 1
    events = trained(small(fixtures_dir, micro_batch=4, shrink_micro_batch=True, dropout=0.1))
    assert [event["micro_batch"] for event in of_kind(events, "changed")] == [2, 1]
    assert "with 4 windows at a time" in of_kind(events, "warning")[0]["sentence"]
    plain = list(ll.train(small(fixtures_dir, micro_batch=1, dropout=0.1)))
    assert losses(events) == losses(plain)
    assert adapter_bytes(events[-1]) == adapter_bytes(plain[-1])


def test_a_step_in_the_middle_is_begun_anew_and_who_resumes_cuts_it_alike(device: Device, fixtures_dir: Path) -> None:
    device.holds, device.since = 2, 7
    config = small(fixtures_dir, micro_batch=4, shrink_micro_batch=True, dropout=0.1, save_every=4)
    undisturbed = trained(config)
    (change,) = of_kind(undisturbed, "changed")
    assert (change["at_step"], change["micro_batch"]) == (6, 2)
    left = training(config)
    events = left.events()
    while left.step < 7:
        next(events)
    events.close()  # left behind its last checkpoint, which is of step 4
    again = list(resume(left.run))
    assert of_kind(again, "resumed")[0]["step"] == 4 and of_kind(again, "prepared")[0]["micro_batch"] == 4
    assert adapter_bytes(again[-1]) == adapter_bytes(undisturbed[-1])
    assert len(of_kind(read(left.run.events_path), "changed")) == 1


@pytest.mark.parametrize(
    ("settings", "allowed"),
    [
        ({}, True),
        ({"micro_batch": 4}, False),
        ({"micro_batch": 4, "shrink_micro_batch": True}, True),
        ({"shrink_micro_batch": False}, False),
    ],
)
def test_a_micro_batch_that_is_left_open_may_shrink(
    settings: dict[str, Any], allowed: bool, device: Device, fixtures_dir: Path
) -> None:
    device.holds = 2
    begun = training(small(fixtures_dir, steps=2, **settings))
    events = []
    try:
        events += [event for event in begun.events() if event is not TICK]
    except OutOfMemory as error:
        assert not allowed and "out of memory in step 1" in str(error)
    assert bool(events) == allowed
    prepared = begun.run.record().prepared
    assert prepared is not None and prepared["config"]["shrink_micro_batch"] is allowed


def test_where_nothing_is_left_to_shrink_the_run_fails_and_the_model_stays_usable(
    device: Device, fixtures_dir: Path
) -> None:
    device.holds = 0
    config = small(fixtures_dir, steps=3)
    lm, run = load(config.model, "fp32", "cpu"), create_run(config)
    with pytest.raises(OutOfMemory, match="in step 1"):
        list(Training(run, lm).events())
    failed = read(run.events_path)[-1]
    assert failed["event"] == "failed" and failed["kind"] == "failed" and "remedies" in failed
    assert [event["micro_batch"] for event in of_kind(read(run.events_path), "changed")] == [2, 1]
    device.holds = 4
    assert list(Training(create_run(config), lm).events())[-1]["event"] == "done"


def test_what_others_hold_in_this_process_goes_first(device: Device, fixtures_dir: Path) -> None:
    device.holds = 2
    begun = training(small(fixtures_dir, steps=2, micro_batch=4))

    def make_room() -> bool:
        device.holds = 4
        return True

    begun.make_room = make_room
    events = list(begun.events())
    assert events[-1]["event"] == "done" and not of_kind(events, "changed")
