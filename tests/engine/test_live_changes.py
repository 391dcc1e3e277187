"""A run under way, looked into and changed by its clients; kill -9 afterwards changes nothing of what comes out."""

import signal
from pathlib import Path
from typing import Any

import pytest

from loralab_core.errors import BadInput, LoraLabError
from loralab_core.runs.config import config_from
from loralab_core.runs.directory import RunDirectory, create_run, find_run
from loralab_core.runs.events import Event, read
from loralab_core.wire.client import Client
from loralab_core.wire.messages import Batch, Change, Done, Pause, Peek, Stop
from tests.engine.driving import (
    LONG,
    connect,
    detached,
    end_engine,
    ending_of,
    events_of,
    finish,
    loralab,
    small_training,
    start,
    steps_of,
    wait_for_end,
    wait_for_step,
    wait_until,
    weights,
)
from tests.engine.homes import home  # noqa: F401

pytestmark = pytest.mark.xdist_group("engine")


def change(client: Client, run: RunDirectory, **what: Any) -> None:
    assert isinstance(client.ask(Change(id=client.next_id(), run=str(run.path), **what)), Done)


def changes_of(run: RunDirectory) -> list[Event]:
    return [event for event in read(run.events_path) if event["event"] == "changed"]


def test_changed_killed_and_resumed_it_ends_with_the_bytes_of_an_undisturbed_run(
    fixtures_dir: Path, tmp_path: Path
) -> None:
    run = detached(small_training(fixtures_dir, steps=LONG, schedule="cosine", save_every=25))
    wait_for_step(run, 3)
    with connect() as client:
        change(client, run, lr=0.01)
        at = steps_of(run)[-1]
        change(client, run, steps=at + 60)
    wait_for_step(run, changes_of(run)[-1]["at_step"] + 3)
    end_engine(signal.SIGKILL)
    done = steps_of(run)[-1]
    out, _ = loralab("resume", str(run.path), "--json")
    assert events_of(out)[0]["step"] <= done and events_of(out)[-1]["steps"] == at + 60
    assert [event.get("lr") or event.get("steps") for event in changes_of(run)] == [0.01, at + 60]
    assert undisturbed(run, tmp_path / "undisturbed") == weights(run)


def undisturbed(run: RunDirectory, place: Path) -> bytes:
    """The same run without an engine, changed at the same steps, that nobody interrupts."""
    from loralab_core.lora import load
    from loralab_core.training import Training

    config = run.record().config | {"run_dir": str(place)}
    training = Training(again := create_run(config_from(config)), load(config["model"], "fp32", "cpu"))
    waiting = changes_of(run)
    for event in training.events():
        while event["event"] == "step" and waiting and waiting[0]["at_step"] == event["step"]:
            made = waiting.pop(0)
            training.change(made.get("steps"), made.get("lr"))
    return weights(again)


def test_followers_hear_of_a_change_and_what_does_not_fit_is_refused(fixtures_dir: Path) -> None:
    run = detached(small_training(fixtures_dir, steps=LONG, save_every=LONG))
    wait_for_step(run, 2)
    follower = start("attach", "last", "--json")
    loralab("change", "last", "--lr", "0.001")
    _, said = loralab("change", "last", "--steps", "1", code=2)
    assert said.count("\n") == 1 and "--steps must be above that" in said
    _, said = loralab("change", "last", code=2)
    assert "--steps or --lr" in said
    _, said = loralab("resume", "last", "--steps", str(LONG + 1), code=2)
    assert f"loralab change {run.path.name} --steps {LONG + 1}" in said
    steps = steps_of(run)[-1] + 100
    out, _ = loralab("change", "last", "--steps", str(steps), "--json")
    assert events_of(out) == [{"run": str(run.path), "steps": steps}]
    assert wait_for_end(run)["steps"] == steps
    heard, _ = finish(follower)
    assert [event.get("lr") or event.get("steps") for event in events_of(heard) if event["event"] == "changed"] == [
        0.001,
        steps,
    ]
    _, said = loralab("change", "last", "--steps", "9", code=2)
    assert f"loralab resume {run.path.name} --steps 9" in said


def test_the_last_batch_is_shown_to_who_asks(fixtures_dir: Path) -> None:
    chats = fixtures_dir / "corpora" / "instruction-data.alpaca-format.json"
    run = detached(small_training(fixtures_dir, steps=LONG, save_every=LONG, corpus=chats, seq_len=128))
    with connect() as client:
        ask = Peek(id=client.next_id(), run=str(run.path), rows=2)
        try:
            early = client.ask(ask)
        except LoraLabError as error:
            assert "first step" in str(error)
        else:  # it was there already
            assert isinstance(early, Batch) and early.step >= 1
        wait_for_step(run, 1)
        client.ask(Pause(id=client.next_id(), run=str(run.path)))
        shown = client.ask(ask)
        paused = [event for event in read(run.events_path) if event["event"] == "paused"][-1]
        assert isinstance(shown, Batch) and shown.step == paused["at_step"] and len(shown.rows) == 2
        assert {trained for row in shown.rows for _, trained in row} == {True, False}
        client.ask(Stop(id=client.next_id(), run=str(run.path)))
        with pytest.raises(BadInput, match="not being trained"):
            client.ask(ask)


def test_watched_prompts_are_shown_in_the_terminal_and_to_who_attaches(fixtures_dir: Path) -> None:
    prompts = ["--watch", "Once upon a time,\nthere", "--watch", "Mr. Gisburn", "--set", "prompt_tokens=8"]
    _, said = loralab(*small_training(fixtures_dir, steps=8), *prompts)
    samples = [event for event in read(find_run("last").events_path) if event["event"] == "sample"]
    assert [(event["step"], event["index"]) for event in samples] == [(s, i) for s in (0, 4, 8) for i in (0, 1)]
    _, again = loralab("attach", "last")
    for event in samples:
        line = f"step {event['step']}: {' '.join(event['prompt'].split())} → {' '.join(event['text'].split())}"
        assert line in said.splitlines() and line in again.splitlines()


def test_talking_goes_first_while_prompts_are_answered(fixtures_dir: Path) -> None:
    from tests.engine.driving import ask

    many = [word for number in range(40) for word in ("--watch", f"Once there was number {number}")]
    run = detached([*small_training(fixtures_dir, steps=4), *many, "--set", "prompt_tokens=100"])
    wait_until(lambda: [event for event in read(run.events_path) if event["event"] == "sample"], "the first sample")
    with connect() as client:
        ended = ask(client, "Once", speaker="base", tokens=4).ended
        assert ended and ended.new_tokens == 4 and not steps_of(run) and ending_of(run) is None
        client.ask(Stop(id=client.next_id(), run=str(run.path)))
    assert (end := ending_of(run)) and end["event"] == "stopped" and end["steps"] == 0
