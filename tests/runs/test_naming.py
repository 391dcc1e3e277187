"""A run can be renamed at any time; run.json stays as it is, and every way of finding the run knows the new name."""

import pytest

from loralab_core.errors import BadInput
from loralab_core.runs.config import TrainConfig
from loralab_core.runs.directory import RunDirectory, create_run, find_run
from loralab_core.runs.naming import rename_run
from loralab_core.runs.owner import claim, owner
from loralab_core.runs.summary import summarise


@pytest.fixture
def run() -> RunDirectory:
    return create_run(TrainConfig(model="/m", corpus=("/c.txt",), name="first"))


def test_the_new_name_is_shown_and_found_and_run_json_is_untouched(run: RunDirectory) -> None:
    before = run.record_path.read_bytes()
    assert rename_run(run, "  the  good one ") == "the good one"
    assert (run.record().name, summarise(run).name) == ("the good one", "the good one")
    assert find_run("the good one") == find_run("the g") == find_run(run.record().id) == run
    assert run.record_path.read_bytes() == before


def test_an_empty_name_takes_back_the_first(run: RunDirectory) -> None:
    rename_run(run, "second")
    assert rename_run(run, "") == "first" and find_run("first") == run


def test_what_is_resolved_later_does_not_write_the_new_name_into_run_json(run: RunDirectory) -> None:
    rename_run(run, "second")
    run.prepare({"threads": 1})
    assert b"second" not in run.record_path.read_bytes() and run.record().name == "second"


def test_a_run_in_training_can_be_renamed(run: RunDirectory) -> None:
    claim(run)
    rename_run(run, "while it runs")
    assert owner(run) is not None and run.record().name == "while it runs"


@pytest.mark.parametrize("name", ["a" * 81, "bell\a", "\x1b[31mred"])
def test_what_cannot_be_shown_is_no_name(run: RunDirectory, name: str) -> None:
    with pytest.raises(BadInput):
        rename_run(run, name)
    assert run.record().name == "first"


def test_an_id_wins_over_another_runs_name(run: RunDirectory) -> None:
    other = create_run(TrainConfig(model="/m", corpus=("/c.txt",)))
    rename_run(other, run.record().id)
    assert find_run(run.record().id) == run


def test_two_of_one_name_are_told_apart_by_their_ids(run: RunDirectory) -> None:
    other = create_run(TrainConfig(model="/m", corpus=("/c.txt",), name="x"))
    rename_run(other, "first")
    with pytest.raises(BadInput, match="not unique") as error:
        find_run("first")
    assert all(each.record().id in str(error.value) for each in (run, other))


@pytest.mark.parametrize("content", [b"\xff\xfe", b"\x1b]0;taken\x07", b"x" * 81])
def test_a_damaged_name_is_no_name(content: bytes, run: RunDirectory) -> None:
    run.name_path.write_bytes(content)
    assert run.record().name == "first"


@pytest.mark.parametrize("name", ["lr 1e-4 / rank 8", ".5 of it", "~ half"])
def test_a_name_that_looks_like_a_path_is_found_too(name: str, run: RunDirectory) -> None:
    rename_run(run, name)
    assert find_run(name) == run
    with pytest.raises(BadInput, match=r"has no run\.json"):
        find_run(f"{name}/nothing")
