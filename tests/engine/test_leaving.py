"""How an engine ends, and its run with it: told to, or because nobody needs it."""

import os
import signal
import subprocess
from pathlib import Path

import pytest

from loralab_core.runs.directory import find_run
from loralab_core.runs.summary import summarise
from loralab_core.wire.messages import Loading, Shutdown
from loralab_core.wire.registry import record_path, socket_path
from tests.engine.driving import (
    LONG,
    ask,
    checkpointed,
    connect,
    detached,
    end_engine,
    ending_of,
    events_of,
    is_gone,
    loralab,
    small_training,
    steps_of,
    the_engine,
    wait_for_end,
    wait_for_step,
    wait_until,
    weights,
)

pytestmark = pytest.mark.xdist_group("engine")


def is_cleaned_up(key: str) -> bool:
    return not socket_path(key).exists() and not record_path(key).exists()


ASKED_TO_END = {"steps": 16, "batch": 8, "micro_batch": 1}  # a step is long: it is asked long before the last one


@pytest.fixture(scope="module")
def undisturbed(fixtures_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """The weights of ASKED_TO_END where nobody asks."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LORALAB_HOME", str(tmp_path_factory.mktemp("home")))
        patch.setenv("LORALAB_ENGINE_IDLE_S", "0")
        place = tmp_path_factory.mktemp("undisturbed") / "run"
        loralab(*small_training(fixtures_dir, **ASKED_TO_END, run_dir=place))
    return weights(find_run(str(place)))


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT])
def test_an_engine_that_is_asked_to_end_leaves_a_checkpoint_and_nothing_else(
    how: signal.Signals, undisturbed: bytes, fixtures_dir: Path
) -> None:
    run = detached(small_training(fixtures_dir, **ASKED_TO_END, save_every=100))
    key = the_engine().key
    wait_for_step(run, 2)
    end_engine(how)
    ended = ending_of(run)
    assert ended and ended["event"] == "stopped" and how.name in ended["why"]
    step = checkpointed(run)
    assert step < 16 and is_cleaned_up(key) and not run.owner_path.exists()
    out, _ = loralab("resume", "last", "--json")
    assert events_of(out)[0]["step"] == step and steps_of(run) == list(range(1, 17))
    assert weights(run) == undisturbed


def test_stopped_before_the_first_step(fixtures_dir: Path) -> None:
    """Told while the model is still being read: the run ends as stopped, and resumes from its beginning."""
    run = detached(small_training(fixtures_dir, steps=LONG, save_every=LONG))
    loralab("stop", "last")
    assert wait_for_end(run)["event"] == "stopped"
    length = len(steps_of(run)) + 4  # none, unless this machine was quick
    loralab("resume", "last", "--steps", str(length))
    assert steps_of(run) == list(range(1, length + 1)) and summarise(run).status == "finished"


def test_told_to_end_by_a_client(fixtures_dir: Path) -> None:
    run = detached(small_training(fixtures_dir, steps=LONG, save_every=LONG))
    wait_for_step(run, 1)
    engine = the_engine()
    with connect() as client:
        client.ask(Shutdown(id=client.next_id()))  # answered when all is written
    assert ending_of(run) and checkpointed(run)
    wait_until(lambda: is_gone(engine.process.pid), "the engine's end")
    assert is_cleaned_up(engine.key)


def test_an_engine_that_nobody_needs_ends(fixtures_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LORALAB_ENGINE_IDLE_S", "2")
    loralab(*small_training(fixtures_dir, steps=2), "--detach")
    engine = the_engine()
    wait_for_end(find_run("last"))  # a run keeps it, however long
    wait_until(lambda: is_gone(engine.process.pid), "the engine's end")
    assert is_cleaned_up(engine.key)


def test_an_engine_without_patience_finishes_its_work(fixtures_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LORALAB_ENGINE_IDLE_S", "0")
    loralab(*small_training(fixtures_dir, steps=2))
    assert (end := ending_of(find_run("last"))) and end["event"] == "done"


def test_a_client_keeps_its_engine(fixtures_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LORALAB_ENGINE_IDLE_S", "0.5")
    loralab(*small_training(fixtures_dir, steps=2), "--detach")
    engine = the_engine()
    with connect() as client:
        wait_for_end(find_run("last"))
        while (said := client.receive(1.5)) is not None:  # thrice its patience, and it does not leave
            assert isinstance(said, Loading)  # how the model was opened is told to everybody
        assert ask(client, "Once", speaker="base", tokens=2).ended
    wait_until(lambda: is_gone(engine.process.pid), "the engine's end")


def test_an_engine_that_ends_before_it_has_begun_cleans_up(fixtures_dir: Path) -> None:
    process = subprocess.Popen(start_command := engine_alone(fixtures_dir), stdout=subprocess.DEVNULL)
    key = start_command[start_command.index("--key") + 1]
    wait_until(socket_path(key).exists, "its socket")
    os.kill(process.pid, signal.SIGTERM)
    assert process.wait(20) == 0 and is_cleaned_up(key)


def engine_alone(fixtures: Path) -> list[str]:
    from loralab_core.wire.launch import engine_command

    return engine_command("0123456789ab", str(fixtures / "models" / "stories260K"), "fp32", "cpu")
