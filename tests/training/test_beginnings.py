"""How a run begins or goes on: with what its record says, or not at all."""

from pathlib import Path

import pytest

from loralab_core.errors import BadInput
from loralab_core.lora import load
from loralab_core.runs.config import config_to_dict
from loralab_core.runs.directory import create_run
from loralab_core.runs.events import read
from loralab_core.training import Training, resume
from tests.training.small_runs import small, stopped_after


def test_a_new_run_trains_what_it_was_asked_to_or_nothing(fixtures_dir: Path, tmp_path: Path) -> None:
    config = small(fixtures_dir)
    for other, said in (({"base": "bf16"}, "open in fp32"), ({"model": str(tmp_path)}, "is open; start it again")):
        run = create_run(small(fixtures_dir, **other))
        with pytest.raises(BadInput, match=said):
            list(Training(run, load(config.model, "fp32", "cpu")).events())
        assert run.record().prepared is None


def test_going_on_in_another_number_format_is_said(fixtures_dir: Path) -> None:
    config = small(fixtures_dir)
    run, lm = create_run(config), load(config.model, "fp32", "cpu")
    stopped_after(lm, run, 6)
    events = list(Training(run, load(config.model, "bf16", "cpu")).events())
    (warning,) = [event["sentence"] for event in events if event["event"] == "warning"]
    assert "base was fp32 and is bf16" in warning


def test_a_run_of_a_newer_version_is_not_continued_as_something_else(fixtures_dir: Path) -> None:
    run = create_run(config := small(fixtures_dir))
    run.prepare({"config": config_to_dict(config) | {"from_the_future": 1}})
    with pytest.raises(BadInput, match="newer LoRA Lab"):
        list(resume(run))
    assert not read(run.events_path)


def test_one_that_ends_before_it_goes_on_says_how_far_it_is(fixtures_dir: Path) -> None:
    config = small(fixtures_dir)
    run, lm = create_run(config), load(config.model, "fp32", "cpu")
    made = stopped_after(lm, run, 6)
    training = Training(run, lm)
    training.stop("thought better of it")
    last = list(training.events())[-1]
    assert last["event"] == "stopped" and last["why"] == "thought better of it"
    assert all(last[key] == made[key] for key in ("steps", "tokens", "seconds", "adapter"))
