"""Checkpoints: only whole ones count; the newest and the best stay."""

from pathlib import Path

import pytest

from loralab_core.runs.checkpoints import (
    best_checkpoint,
    checkpoint_path,
    clear_leftovers,
    latest_checkpoint,
    list_checkpoints,
    retire_checkpoints,
)


@pytest.fixture
def place(tmp_path: Path) -> Path:
    for step in (100, 20, 3, 1_000_000):
        checkpoint_path(tmp_path, step).mkdir()
    return tmp_path


def evals(**losses: float | None) -> list[dict[str, object]]:
    return [{"event": "eval", "step": int(step[1:]), "loss": loss} for step, loss in losses.items()]


def test_listed_by_step(place: Path) -> None:
    assert [one.step for one in list_checkpoints(place)] == [3, 20, 100, 1_000_000]
    latest = latest_checkpoint(place)
    assert latest is not None and latest.path == place / "step-1000000"


def test_none_where_there_are_none(tmp_path: Path) -> None:
    assert list_checkpoints(tmp_path / "missing") == [] and latest_checkpoint(tmp_path) is None


def test_half_written_and_half_deleted_ones_do_not_count_and_are_cleared(place: Path) -> None:
    for name in (".step-000200.4711.tmp", ".step-000050.deleted"):
        (place / name).mkdir()
        (place / name / "adapter.safetensors").touch()
    assert [one.step for one in list_checkpoints(place)] == [3, 20, 100, 1_000_000]
    clear_leftovers(place)
    assert sorted(path.name for path in place.glob(".*")) == [] and len(list_checkpoints(place)) == 4


def test_files_of_a_killed_owner_are_cleared_and_those_of_others_are_not(tmp_path: Path) -> None:
    for name in (".run.json.4711.tmp", ".engine.pid.4711.tmp", "..engine.json.4711.tmp", ".notes.4711.tmp", "run.json"):
        (tmp_path / name).touch()
    clear_leftovers(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == [".notes.4711.tmp", "run.json"]


def test_best_is_by_validation_loss_among_those_that_exist(place: Path) -> None:
    best = best_checkpoint(place, evals(s3=4.0, s20=2.0, s50=1.0, s100=None))
    assert best is not None and best.step == 20
    assert best_checkpoint(place, []) is None


def test_the_newest_and_the_best_stay(place: Path) -> None:
    assert retire_checkpoints(place, keep=1, events=evals(s3=4.0, s20=2.0, s100=3.0)) == [3, 100]
    assert [one.step for one in list_checkpoints(place)] == [20, 1_000_000]
    assert retire_checkpoints(place, keep=2) == []
