"""kill -9 at any moment: the resumed run ends with the very bytes of one that nobody disturbed."""

import os
import random
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest

from loralab_core.paths import quantised_dir
from loralab_core.runs.config import TrainConfig
from loralab_core.runs.directory import RunDirectory
from loralab_core.runs.events import read
from loralab_core.runs.numerics import Base
from loralab_core.runs.summary import summarise
from tests.engine.driving import detached, end_engine, loralab, small_training, steps_of, wait_until, weights
from tests.engine.homes import home  # noqa: F401
from tests.faults.victims import kill, resuming, run_to_end, training

pytestmark = pytest.mark.xdist_group("faults")

SAVE_EVERY, STEPS = 4, 16


class Undisturbed(NamedTuple):
    weights: bytes
    seconds: float  # from run.json to the end


def config(fixtures: Path, place: Path, base: Base = "fp32") -> TrainConfig:
    return TrainConfig(
        model=str(fixtures / "models" / "stories260K"),
        corpus=(str(fixtures / "corpora" / "the-verdict.txt"),),
        base=base,
        device="cpu",
        threads=1,
        seq_len=32,
        batch=4,
        micro_batch=2,
        dropout=0.1,
        lr=2e-3,
        val=0.05,
        save_every=SAVE_EVERY,
        steps=STEPS,
        run_dir=str(place),
    )


@pytest.fixture(scope="module")
def undisturbed(home: Path, fixtures_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Undisturbed:  # noqa: F811
    place = tmp_path_factory.mktemp("undisturbed") / "run"
    run_to_end(training(config(fixtures_dir, place)))  # tokenises, and starts the server of processes
    again = RunDirectory(place.with_name("again"))
    run_to_end(training(config(fixtures_dir, again.path)))
    assert weights(RunDirectory(place)) == weights(again)
    return Undisturbed(weights(again), read(again.events_path)[-1]["time"] - again.record().created)


def check_history(run: RunDirectory, save_every: int = SAVE_EVERY) -> None:
    """Nothing is missing, and each `resumed` repeats no more than one checkpoint interval."""
    done = 0
    for event in read(run.events_path):
        if event["event"] == "resumed":
            assert done - event["step"] <= save_every
            done = event["step"]
        elif event["event"] == "step":
            assert event["step"] == done + 1
            done = event["step"]
    assert done == STEPS


@pytest.mark.parametrize("number", range(16))
def test_killed_at_a_random_moment(number: int, undisturbed: Undisturbed, fixtures_dir: Path, tmp_path: Path) -> None:
    chance = random.Random(number)
    run = RunDirectory(tmp_path / "run")
    victim = training(config(fixtures_dir, run.path))
    wait_until(run.record_path.exists, "the run's beginning")
    time.sleep(chance.uniform(0, undisturbed.seconds))  # the random moment itself
    kill(victim)
    if number % 4 == 0:  # and once more
        victim = resuming(run)
        time.sleep(chance.uniform(0, undisturbed.seconds / 2))
        kill(victim)
    run_to_end(resuming(run))
    assert weights(run) == undisturbed.weights
    check_history(run)
    assert not list(run.path.glob(".*.tmp")) and not list(run.checkpoints.glob(".*"))


def being_written(run: RunDirectory) -> bool:
    return run.checkpoints.is_dir() and any(path.suffix == ".tmp" for path in run.checkpoints.iterdir())


def prepared(run: RunDirectory) -> bool:
    return run.events_path.exists() and "prepared" in run.events_path.read_text()


@pytest.mark.parametrize(
    "moment",
    [
        pytest.param(lambda run: run.record_path.exists(), id="as soon as it has a directory"),
        pytest.param(lambda run: run.events_path.exists(), id="tokenising"),
        pytest.param(prepared, id="prepared"),
        pytest.param(being_written, id="a checkpoint half written"),
        pytest.param(lambda run: (run.checkpoints / "step-000004").exists(), id="a checkpoint just written"),
        pytest.param(lambda run: STEPS in steps_of(run), id="the last step just made"),
    ],
)
def test_killed_at_a_bad_moment(
    moment: Callable[[RunDirectory], bool], undisturbed: Undisturbed, fixtures_dir: Path, tmp_path: Path
) -> None:
    run = RunDirectory(tmp_path / "run")
    victim = training(config(fixtures_dir, run.path))
    wait_until(lambda: moment(run), "the moment")
    kill(victim)
    run_to_end(resuming(run))
    assert weights(run) == undisturbed.weights
    check_history(run)


def test_killed_on_a_quantised_base(home: Path, fixtures_dir: Path, tmp_path: Path) -> None:  # noqa: F811
    """Also the one that was killed while it was quantised or kept on disk."""
    whole, run = (RunDirectory(tmp_path / name) for name in ("whole", "run"))
    for moment in (being_quantised, being_written):
        victim = training(config(fixtures_dir, run.path, "nf4")) if not run.path.exists() else resuming(run)
        wait_until(lambda moment=moment: moment(run), "the moment")
        kill(victim)
    run_to_end(resuming(run))
    run_to_end(training(config(fixtures_dir, whole.path, "nf4")))
    assert weights(run) == weights(whole)
    check_history(run)


def being_quantised(run: RunDirectory) -> bool:
    return quantised_dir().is_dir()


@pytest.mark.parametrize("number", range(3))
def test_the_engine_killed_and_resumed_by_command(
    number: int, undisturbed: Undisturbed, fixtures_dir: Path, tmp_path: Path
) -> None:
    place = tmp_path / "run"
    run = detached(
        small_training(fixtures_dir, run_dir=place, val=0.05, save_every=SAVE_EVERY, steps=STEPS, schedule="cosine")
    )
    # an engine that was killed leaves its socket and record; the next command clears them away
    wait_until(run.events_path.exists, "the model")
    time.sleep(random.Random(number).uniform(0, 0.5))
    end_engine(signal.SIGKILL)
    assert summarise(run).status in ("interrupted", "finished")
    _, said = loralab("resume", str(place), "--json")
    assert weights(run) == undisturbed.weights
    check_history(run)
    assert summarise(run).status == "finished" and not run.owner_path.exists()
    end_engine(signal.SIGTERM)
    assert os.listdir(place / "checkpoints")
