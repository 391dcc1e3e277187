"""A list of runs that is looked at again reads only what is new."""

import os
import subprocess
import sys
from typing import Any

from loralab_core.runs.config import TrainConfig
from loralab_core.runs.directory import RunDirectory, create_run, delete_run
from loralab_core.runs.events import EventReader, read
from loralab_core.runs.history import History
from loralab_core.runs.naming import rename_run
from loralab_core.runs.owner import claim, release
from loralab_core.runs.summaries import Summaries
from loralab_core.runs.summary import Summary, summarise
from tests.runs.writing import write


def steps(first: int, last: int) -> list[dict[str, Any]]:
    return [
        {"event": "step", "step": step, "loss": 3.0 - step / 100, "tokens": step} for step in range(first, last + 1)
    ]


def only(summaries: Summaries) -> Summary:
    (found,) = summaries.read()
    return found


def test_a_growing_run_is_read_on_from_where_it_was(run: RunDirectory) -> None:
    claim(run)
    summaries = Summaries()
    write(run, {"event": "prepared", "steps": 90}, *steps(1, 50))
    assert (only(summaries).step, summaries.events_read) == (50, 51)
    write(run, *steps(51, 53))
    assert (only(summaries).step, summaries.events_read) == (53, 54)
    assert only(summaries) == summarise(run)
    assert summaries.events_read == 54


def test_a_run_that_ended_is_not_opened_again(run: RunDirectory) -> None:
    summaries = Summaries()
    write(run, *steps(1, 5), {"event": "done", "seconds": 3.0})
    before = only(summaries)
    assert (only(summaries), summaries.events_read) == (before, 6)


def test_what_changes_without_an_event_is_seen(run: RunDirectory) -> None:
    summaries = Summaries()
    write(run, *steps(1, 5))
    assert only(summaries).status == "interrupted"
    claim(run)
    rename_run(run, "better")
    assert (only(summaries).status, only(summaries).name) == ("running", "better")
    release(run)
    assert only(summaries).status == "interrupted"


def test_a_run_taken_up_again_is_right_although_its_history_was_forgotten(run: RunDirectory) -> None:
    summaries = Summaries()
    write(run, *steps(1, 5), {"event": "eval", "step": 5, "loss": 2.0, "perplexity": 7.4}, {"event": "stopped"})
    assert only(summaries).status == "stopped"
    claim(run)
    assert only(summaries).status == "running"
    write(run, {"event": "resumed", "step": 3}, *steps(4, 4))
    assert only(summaries) == summarise(run)
    assert (only(summaries).step, only(summaries).val_loss) == (4, None)


def test_new_runs_come_first_and_deleted_ones_go(run: RunDirectory) -> None:
    summaries = Summaries()
    assert len(list(summaries.read())) == 1
    another = create_run(TrainConfig(model="/m", corpus=("/d.txt",)))
    assert [one.path for one in summaries.read()] == [str(another.path), str(run.path)]
    delete_run(run)
    assert [one.path for one in summaries.read()] == [str(another.path)]


def test_a_process_that_died_leaves_its_run_interrupted(run: RunDirectory) -> None:
    """As after kill -9: engine.pid is still there, the process is not."""
    code = (
        f"from pathlib import Path; from loralab_core.runs.directory import RunDirectory as R\n"
        f"from loralab_core.runs.owner import claim; claim(R(Path({str(run.path)!r})))"
    )
    subprocess.run([sys.executable, "-c", code], check=True, env=os.environ)
    assert run.owner_path.exists() and only(Summaries()).status == "interrupted"


def test_a_long_file_comes_in_pieces_and_none_is_lost(run: RunDirectory) -> None:
    write(run, *steps(1, 20_000))
    pieces = list(EventReader(run.events_path).pieces())
    assert len(pieces) > 1 and sum(map(len, pieces)) == 20_000
    history = History()
    for piece in pieces:
        history.fold(piece)
    assert list(history.steps) == [event["step"] for event in read(run.events_path)]


def test_time_between_two_parts_is_not_training() -> None:
    history = History()
    at = [0.0, 1.0, 2.0, 100.0, 101.0]
    first = [{"event": "step", "step": n, "loss": 1.0, "time": at[n - 1]} for n in (1, 2, 3)]
    second = [{"event": "step", "step": n, "loss": 1.0, "time": at[n]} for n in (3, 4)]
    history.fold([*first, {"event": "resumed", "step": 2}, *second])
    assert (list(history.steps), history.spent) == ([1, 2, 3, 4], 2.0)
