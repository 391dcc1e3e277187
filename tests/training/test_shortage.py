"""Running out of memory in a run of this process: what is begun anew, what is recorded, what a resumed run does."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

import loralab_core as ll
from loralab_core.errors import OutOfMemory
from loralab_core.lora import LoadedModel, load
from loralab_core.runs.directory import RunDirectory, create_run
from loralab_core.runs.events import Event, read
from loralab_core.training import TICK, Training, resume
from loralab_core.training.trainer import StepResult, Trainer
from tests.training.small_runs import adapter_bytes, losses, small


class Narrow(Training):
    """A run on a device that does not hold a pass of more than `holds` windows from step `since` on."""

    def __init__(self, run: RunDirectory, lm: LoadedModel, holds: int, since: int = 1):
        super().__init__(run, lm)
        self.holds, self.since = holds, since

    def _one_step(self, trainer: Trainer) -> Iterator[Any]:  # type: ignore[override]
        step = super()._one_step(trainer)
        found: StepResult | None = None
        too_large = trainer.step + 1 >= self.since and trainer.micro_batch > self.holds
        yield next(step) if too_large and trainer.micro_batch < trainer.config.batch else TICK
        if too_large:
            torch.empty(1 << 60)  # what PyTorch really says then
        found = yield from step
        return found


def narrow(run: RunDirectory, fixtures: Path, **how: int) -> list[Event]:
    config = run.record().config
    return [event for event in Narrow(run, load(config["model"], "fp32", "cpu"), **how).events() if event is not TICK]


def of_kind(events: list[Event], kind: str) -> list[Event]:
    return [event for event in events if event["event"] == kind]


def test_a_run_that_shrinks_is_the_run_that_began_so(fixtures_dir: Path) -> None:
    config = small(fixtures_dir, micro_batch=4, shrink_micro_batch=True, dropout=0.1)
    events = narrow(create_run(config), fixtures_dir, holds=1)
    assert [event["micro_batch"] for event in of_kind(events, "changed")] == [2, 1]
    assert "with 4 windows at a time" in of_kind(events, "warning")[0]["sentence"]
    plain = list(ll.train(small(fixtures_dir, micro_batch=1, dropout=0.1)))
    assert losses(events) == losses(plain)
    assert adapter_bytes(events[-1]) == adapter_bytes(plain[-1])


def test_a_step_in_the_middle_is_begun_anew_and_who_resumes_cuts_it_alike(fixtures_dir: Path) -> None:
    config = small(fixtures_dir, micro_batch=4, shrink_micro_batch=True, dropout=0.1, save_every=4)
    undisturbed = narrow(create_run(config), fixtures_dir, holds=2, since=7)
    (change,) = of_kind(undisturbed, "changed")
    assert (change["at_step"], change["micro_batch"]) == (6, 2)
    run = create_run(config)
    training = Narrow(run, load(config.model, "fp32", "cpu"), holds=2, since=7)
    events = training.events()
    while training.step < 7:
        next(events)
    events.close()  # left behind its last checkpoint, which is of step 4
    again = list(resume(run))
    assert of_kind(again, "resumed")[0]["step"] == 4 and of_kind(again, "prepared")[0]["micro_batch"] == 4
    assert adapter_bytes(again[-1]) == adapter_bytes(undisturbed[-1])
    assert len(of_kind(read(run.events_path), "changed")) == 1


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
    settings: dict[str, Any], allowed: bool, fixtures_dir: Path
) -> None:
    run = create_run(small(fixtures_dir, steps=2, **settings))
    training = Narrow(run, load(run.record().config["model"], "fp32", "cpu"), holds=2)
    events = []
    try:
        events += [event for event in training.events() if event is not TICK]
    except OutOfMemory as error:
        assert not allowed and "out of memory in step 1" in str(error)
    assert bool(events) == allowed
    prepared = run.record().prepared
    assert prepared is not None and prepared["config"]["shrink_micro_batch"] is allowed


def test_where_nothing_is_left_to_shrink_the_run_fails_and_the_model_stays_usable(fixtures_dir: Path) -> None:
    config = small(fixtures_dir, steps=3)
    lm, run = load(config.model, "fp32", "cpu"), create_run(config)
    with pytest.raises(OutOfMemory, match="in step 1"):
        list(Narrow(run, lm, holds=0).events())
    failed = read(run.events_path)[-1]
    assert failed["event"] == "failed" and failed["kind"] == "failed" and "remedies" in failed
    assert [event["micro_batch"] for event in of_kind(read(run.events_path), "changed")] == [2, 1]
    later = create_run(config)
    assert list(Training(later, lm).events())[-1]["event"] == "done"


def test_what_others_hold_in_this_process_goes_first(fixtures_dir: Path) -> None:
    config = small(fixtures_dir, steps=2, micro_batch=4)
    training = Narrow(create_run(config), load(config.model, "fp32", "cpu"), holds=2)

    def make_room() -> bool:
        training.holds = 4
        return True

    training.make_room = make_room
    events = list(training.events())
    assert events[-1]["event"] == "done" and not of_kind(events, "changed")
