"""A run that is changed while it goes: from the next step on, and found again at the same step by who resumes it."""

from functools import cache
from pathlib import Path
from typing import Any

import pytest

from loralab_core.errors import BadInput
from loralab_core.lora import load
from loralab_core.runs.directory import RunDirectory, create_run
from loralab_core.runs.events import Event, read
from loralab_core.training import TICK, Training, resume
from loralab_core.training.course import Course
from tests.training.small_runs import adapter_bytes, small

Changes = dict[int, dict[str, Any]]  # after this step: what is changed
NOTHING: dict[str, Any] = {"steps": None, "lr": None}


def trained(run: RunDirectory, changes: Changes, leave_at: int = 0) -> list[Event]:
    """What happens in a sitting in which somebody changes the run; it is dropped after step `leave_at`."""
    training = Training(run, load(run.record().config["model"], "fp32", "cpu"))
    events, seen = training.events(), []
    for event in events:
        seen += [] if event is TICK else [event]
        if event["event"] == "step" and event["step"] in changes:
            training.change(**NOTHING | changes[event["step"]])
        if event["event"] == "step" and event["step"] == leave_at:
            break
    events.close()
    return seen


def new_run(fixtures: Path, **settings: Any) -> RunDirectory:
    return create_run(small(fixtures, schedule="cosine", save_every=4, dropout=0.1, **settings))


def rates(events: list[Event]) -> dict[int, float]:
    return {event["step"]: event["lr"] for event in events if event["event"] == "step"}


def test_a_change_counts_from_the_next_step_and_is_written_first(fixtures_dir: Path) -> None:
    plain, run = new_run(fixtures_dir), new_run(fixtures_dir)
    before, after = rates(trained(plain, {})), rates(trained(run, {3: {"lr": 1e-3}}))
    assert [after[step] for step in (1, 2, 3)] == [before[step] for step in (1, 2, 3)]
    assert [after[step] for step in range(4, 13)] == pytest.approx([before[step] / 5 for step in range(4, 13)])
    written = [event for event in read(run.events_path) if event["event"] in ("step", "changed")]
    assert written[3] | {"event": "changed", "at_step": 3, "lr": 1e-3} == written[3] and written[4]["step"] == 4


@pytest.mark.parametrize(("steps", "last"), [(16, 16), (7, 7), (6, 6)])
def test_a_run_gets_longer_or_shorter(steps: int, last: int, fixtures_dir: Path) -> None:
    events = trained(new_run(fixtures_dir), {5: {"steps": steps}})
    assert events[-1]["event"] == "done" and events[-1]["steps"] == last
    assert events[-2] | {"event": "checkpoint", "step": last} == events[-2]


CHANGES: Changes = {2: {"lr": 2e-3}, 6: {"steps": 14, "lr": 4e-3}}


@cache
def changed_and_undisturbed(fixtures: Path) -> list[Event]:
    return trained(new_run(fixtures), CHANGES)


@pytest.mark.parametrize("leave_at", [6, 7, 9])
def test_a_changed_run_that_was_left_goes_on_to_the_same_bytes(leave_at: int, fixtures_dir: Path) -> None:
    undisturbed = changed_and_undisturbed(fixtures_dir)
    run = new_run(fixtures_dir)
    trained(run, CHANGES, leave_at)
    events = list(resume(run))
    assert events[0]["event"] == "resumed" and events[0]["step"] < leave_at
    assert adapter_bytes(events[-1]) == adapter_bytes(undisturbed[-1]) and events[-1]["steps"] == 14
    assert all(rates(undisturbed)[step] == rate for step, rate in rates(events).items())
    assert next(event for event in events if event["event"] == "prepared")["steps"] == 14


def test_a_later_word_from_an_earlier_step_is_the_last_word() -> None:
    course = Course(20, 1.0)
    course.change(10, steps=30, lr=2.0)
    assert (course.steps, course.steps_at(10), course.steps_at(11)) == (30, 20, 30)
    course.change(8, lr=3.0)  # resumed from step 8
    assert [course.lr_at(step) for step in (8, 9, 11)] == [1.0, 3.0, 3.0] and course.steps_at(11) == 30
    course.change(8, lr=4.0)
    assert course.lr_at(8) == 1.0 and course.lr_at(9) == 4.0


@pytest.mark.parametrize(
    ("change", "sentence"),
    [({"steps": 3}, "at step 3 already"), ({"lr": 0.0}, "above 0"), ({"lr": float("inf")}, "above 0"), ({}, "nothing")],
)
def test_what_cannot_be_is_refused_and_changes_nothing(
    change: dict[str, Any], sentence: str, fixtures_dir: Path
) -> None:
    config = small(fixtures_dir, steps=4)
    run = create_run(config)
    training = Training(run, load(config.model, "fp32", "cpu"))
    with pytest.raises(BadInput, match="still being prepared"):
        training.change(**NOTHING | {"steps": 9})
    for event in training.events():
        if event["event"] == "step" and event["step"] == 3:
            with pytest.raises(BadInput, match=sentence):
                training.change(**NOTHING | change)
    events = read(run.events_path)
    assert events[-1]["steps"] == 4 and "changed" not in [event["event"] for event in events]
