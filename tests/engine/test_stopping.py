"""What is asked of a run under way: that it stops, is held, or makes room for another; its engine stays."""

import json
import signal
from pathlib import Path

import pytest

from loralab_core.runs.directory import RunDirectory, list_runs
from loralab_core.runs.events import read
from loralab_core.wire.client import Client
from loralab_core.wire.messages import EngineStatus, Pause, Status
from loralab_core.wire.registry import list_engines
from tests.engine.driving import (
    LONG,
    ask,
    checkpointed,
    connect,
    detached,
    ending_of,
    events_of,
    finish,
    loralab,
    small_training,
    start,
    steps_of,
    wait_for_step,
    wait_until,
)
from tests.engine.homes import home  # noqa: F401

pytestmark = pytest.mark.xdist_group("engine")


def test_ctrl_c_writes_a_checkpoint_and_says_how_to_go_on(fixtures_dir: Path) -> None:
    process = start(*small_training(fixtures_dir, steps=LONG, save_every=LONG), "--json")
    run: RunDirectory = wait_until(begun, "the run")
    wait_for_step(run, 2)
    process.send_signal(signal.SIGINT)
    out, said = finish(process, 130)
    assert events_of(out)[-1]["event"] == "stopped"
    assert f"loralab resume {run.path.name}" in said.splitlines()[-1]
    step = checkpointed(run)
    assert len(list_engines()) == 1  # the model stays open for what comes next
    out, _ = loralab("resume", run.path.name, "--steps", str(step + 2), "--json")
    assert events_of(out)[-1]["event"] == "done" and steps_of(run) == list(range(1, step + 3))


def begun() -> RunDirectory | None:
    return next((run for run, _ in list_runs() if not ending_of(run)), None)


def test_stop_by_command(fixtures_dir: Path) -> None:
    run = detached(small_training(fixtures_dir, steps=LONG, save_every=LONG))
    wait_for_step(run, 1)
    out, _ = loralab("stop", "last", "--json")
    answer = json.loads(out)
    assert answer["status"] == "stopped" and answer["step"] == checkpointed(run)
    _, said = loralab("stop", "last", code=2)
    assert "not running" in said


def test_held_and_continued_over_the_wire(fixtures_dir: Path) -> None:
    run = detached(small_training(fixtures_dir, steps=LONG, save_every=LONG))
    wait_for_step(run, 1)
    with connect() as client:
        client.ask(Pause(id=client.next_id(), run=str(run.path)))
        held = status(client)
        assert ask(client, "Once", tokens=2).ended  # it answers all the same
        assert held.paused and status(client).step == held.step
        client.ask(Pause(id=client.next_id(), run=str(run.path), paused=False))
        wait_for_step(run, held.step + 2)
        assert not status(client).paused
        client.ask(Pause(id=client.next_id(), run=str(run.path)))
    loralab("stop", "last")  # also where it is held
    marks = [(event["event"], event["at_step"]) for event in read(run.events_path) if "at_step" in event]
    assert marks[:2] == [("paused", held.step), ("continued", held.step)] and marks[2][0] == "paused"
    assert ending_of(run) and checkpointed(run)


def status(client: Client) -> EngineStatus:
    reply = client.ask(Status(id=client.next_id()))
    assert isinstance(reply, EngineStatus)
    return reply


def test_a_second_run_on_the_same_base_is_refused_and_told_of_the_first(fixtures_dir: Path, tmp_path: Path) -> None:
    run = detached(small_training(fixtures_dir, steps=LONG, save_every=LONG))
    _, said = loralab(*small_training(fixtures_dir, run_dir=tmp_path / "second"), code=2)
    assert said.count("\n") == 1 and str(run.path) in said and "loralab stop" in said
    assert not (tmp_path / "second").exists()
    loralab("stop", "last")
