"""A disk that is full, or not to be written: warnings and sentences, and nothing of what was there is lost."""

import json
import os
import resource
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest
from safetensors import safe_open

from loralab_core.runs.directory import RunDirectory, find_run
from loralab_core.runs.events import Event, read
from loralab_core.wire.messages import Attach, Done, RunEvent
from tests.engine.driving import (
    LONG,
    PATIENCE_S,
    connect,
    detached,
    ending_of,
    events_of,
    loralab,
    small_training,
    steps_of,
    the_engine,
    wait_for_end,
    wait_for_step,
    wait_until,
    weights,
)
from tests.engine.homes import home  # noqa: F401

pytestmark = [
    pytest.mark.xdist_group("faults"),
    pytest.mark.skipif(not sys.platform.startswith("linux"), reason="limits of another process are Linux only"),
]

CHECKPOINT = 100_000  # bytes: less than a checkpoint's files have, more than the events of these runs


@contextmanager
def files_no_longer_than(size: int) -> Iterator[None]:
    """In the engine, writing beyond `size` bytes of a file fails, as it does on a full disk."""
    engine = psutil.Process(the_engine().process.pid)
    _, most = engine.rlimit(psutil.RLIMIT_FSIZE)
    engine.rlimit(psutil.RLIMIT_FSIZE, (size, most))
    try:
        yield
    finally:
        engine.rlimit(psutil.RLIMIT_FSIZE, (resource.RLIM_INFINITY, most))


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    place = tmp_path / "disk"
    place.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", str(place)], capture_output=True)
    if mounted.returncode:
        pytest.skip("a disk of a few megabytes can only be made by root")
    yield place
    subprocess.run(["umount", "--lazy", str(place)], check=True)


def kinds(run: RunDirectory, kind: str) -> list[Event]:
    return [event for event in read(run.events_path) if event["event"] == kind]


def wait_for_warning(run: RunDirectory) -> str:
    found: list[Event] = wait_until(lambda: kinds(run, "warning"), "a warning")
    sentence: str = found[0]["sentence"]
    return sentence


def wait_for_checkpoint_after(run: RunDirectory, step: int) -> None:
    wait_until(lambda: kinds(run, "checkpoint")[-1]["step"] > step, "the next checkpoint")


def check_whole(run: RunDirectory) -> None:
    """Every checkpoint that has its name can be opened, and nothing half written lies beside them."""
    for place in run.checkpoints.iterdir():
        assert place.name.startswith("step-")
        for file in place.glob("*.safetensors"):
            with safe_open(file, framework="np") as opened:
                assert list(opened.keys())


def test_no_space_for_a_checkpoint_costs_a_warning(fixtures_dir: Path) -> None:
    run = detached(small_training(fixtures_dir, steps=LONG, save_every=2))
    wait_until(lambda: kinds(run, "checkpoint"), "the first checkpoint")
    with files_no_longer_than(CHECKPOINT):
        said = wait_for_warning(run)
        assert str(run.checkpoints) in said and "training goes on" in said and "free some space" in said
        step = steps_of(run)[-1]
        wait_for_step(run, step + 3)
        assert kinds(run, "checkpoint")[-1]["step"] <= step
    wait_for_checkpoint_after(run, step)
    loralab("stop", "last")
    check_whole(run)


def test_a_disk_that_is_really_full(fixtures_dir: Path, small_disk: Path) -> None:
    run = detached(small_training(fixtures_dir, steps=LONG, save_every=2, run_dir=small_disk / "run"))
    wait_until(lambda: kinds(run, "checkpoint"), "the first checkpoint")
    ballast = small_disk / "ballast"
    with open(ballast, "wb", buffering=0) as file:
        try:
            while True:
                file.write(bytes(4096))
        except OSError:
            pass
        wait_until(lambda: fill_up(ballast) and following_warning(run), "a warning")
    step = steps_of(run)[-1]
    ballast.unlink()
    wait_for_checkpoint_after(run, step)
    loralab("stop", str(run.path))
    check_whole(run)
    seen = [event["seq"] for event in read(run.events_path)]
    assert seen == list(range(1, len(seen) + 1))


def fill_up(ballast: Path) -> bool:
    """Take what a retired checkpoint has given back meanwhile."""
    try:
        with open(ballast, "ab", buffering=0) as file:
            while True:
                file.write(bytes(4096))
    except OSError:
        return True


def following_warning(run: RunDirectory) -> bool:
    """As a client hears it: the file cannot take it."""
    with connect() as client:
        client.send(Attach(id=(number := client.next_id()), run=str(run.path)))
        for response in client.responses():
            if isinstance(response, RunEvent) and "free some space" in response.event.get("sentence", ""):
                return True
            if isinstance(response, Done) and response.id == number:
                return False
    return False


def test_a_result_that_cannot_be_written_is_written_when_resumed(fixtures_dir: Path, tmp_path: Path) -> None:
    loralab(*small_training(fixtures_dir, steps=8, run_dir=tmp_path / "undisturbed"))
    with files_no_longer_than(CHECKPOINT):
        out, said = loralab(*small_training(fixtures_dir, steps=8), "--json", code=1)
    run = find_run("last")
    last = events_of(out)[-1]
    assert last["event"] == "failed" and str(run.adapter) in last["why"] and "loralab resume" in last["why"]
    assert said.splitlines()[-1] == last["why"] and not run.adapter.exists()
    loralab("resume", str(run.path))
    assert weights(run) == weights(find_run(str(tmp_path / "undisturbed")))


def test_events_that_the_disk_refuses_are_told_and_written_later(fixtures_dir: Path) -> None:
    run = detached(small_training(fixtures_dir, steps=LONG, save_every=LONG))
    wait_for_step(run, 2)
    with files_no_longer_than(run.events_path.stat().st_size + 50), connect() as client:
        client.send(Attach(id=client.next_id(), run=str(run.path)))
        told: list[Event] = []
        while not any(one["event"] == "warning" for one in told) or told[-1]["step"] < steps_of(run)[-1] + 5:
            response = client.receive(PATIENCE_S)
            assert response is not None
            if isinstance(response, RunEvent):
                told.append(response.event)
                told[-1].setdefault("step", 0)
        assert "cannot write" in next(event["sentence"] for event in told if event["event"] == "warning")
        assert steps_of(run)[-1] < told[-1]["step"]
        with connect() as late:  # and who comes now hears it all
            late.send(Attach(id=late.next_id(), run=str(run.path)))
            again = [late.receive(PATIENCE_S) for _ in told]
        assert [one.event["seq"] for one in again if isinstance(one, RunEvent)] == [event["seq"] for event in told]
    wait_for_step(run, told[-1]["step"] + 2)
    loralab("stop", "last")
    seen = [event["seq"] for event in read(run.events_path)]
    assert seen == list(range(1, len(seen) + 1)) and ending_of(run)


@pytest.fixture(params=["a file is in the way", "a read-only disk"])
def unwritable(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Path]:
    if request.param == "a file is in the way":
        (tmp_path / "file").touch()
        yield tmp_path / "file" / "place"
        return
    place = tmp_path / "disk"
    place.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "ro", "tmpfs", str(place)], capture_output=True).returncode:
        pytest.skip("only root can mount a read-only disk")
    yield place / "place"
    subprocess.run(["umount", "--lazy", str(place)], check=True)


def test_a_run_directory_that_cannot_be_made(fixtures_dir: Path, unwritable: Path) -> None:
    _, said = loralab(*small_training(fixtures_dir, run_dir=unwritable), code=1)
    assert said.count("\n") == 1 and str(unwritable) in said
    loralab(*small_training(fixtures_dir, steps=1))  # the engine is none the worse


def test_a_home_that_cannot_be_written(fixtures_dir: Path, unwritable: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LORALAB_HOME", str(unwritable))
    _, said = loralab(*small_training(fixtures_dir), code=1)
    assert said.count("\n") == 1 and str(unwritable) in said


def test_a_conversation_that_cannot_be_kept_is_answered(fixtures_dir: Path) -> None:
    from tests.engine.driving import ask

    run = detached(small_training(fixtures_dir, steps=LONG, save_every=LONG))
    wait_for_step(run, 1)
    run.chat_path.mkdir()
    with connect() as client:
        assert ask(client, "Once", tokens=3).ended
    loralab("stop", "last")
    assert wait_for_end(run)["event"] == "stopped"
    assert json.loads((run.path / "run.json").read_text())["id"] and os.listdir(run.chat_path) == []
