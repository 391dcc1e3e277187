"""Runs are created under readable ids, found by what people type, and refused with a sentence."""

import os
from pathlib import Path

import pytest

from loralab_core.errors import BadInput, LoraLabError
from loralab_core.runs.config import TrainConfig
from loralab_core.runs.directory import RunDirectory, create_run, delete_run, find_run, list_runs, open_run


def config(corpus: str = "/corpora/tinyshakespeare.txt", **settings: object) -> TrainConfig:
    return TrainConfig(model="/models/m", corpus=(corpus,), **settings)  # type: ignore[arg-type]


def test_the_id_says_when_and_what() -> None:
    run = create_run(config())
    day, about, chance = run.record().id.split("-")
    assert day.isdigit() and about == "tinyshakespeare" and len(chance) == 4
    assert run.path.name == run.record().id


def test_a_pattern_is_named_after_its_folder() -> None:
    assert create_run(config("/notes/daily/**/*.md")).path.name.split("-")[1] == "daily"


def test_runs_at_the_same_moment_get_different_ids() -> None:
    assert len({create_run(config()).path for _ in range(20)}) == 20


def test_a_name_replaces_the_corpus_in_the_id() -> None:
    assert "-the-king-s-speech-" in create_run(config(name="The King's speech!")).record().id


def test_what_was_asked_is_kept_and_prepared_once() -> None:
    run = create_run(config(), asked={"rank": 4})
    assert run.record().asked == {"rank": 4} and run.record().prepared is None
    run.prepare({"threads": 2})
    assert run.record().prepared == {"threads": 2}
    with pytest.raises(LoraLabError, match="never changes"):
        run.prepare({"threads": 4})


def test_settings_of_a_newer_version_are_ignored() -> None:
    run = create_run(config())
    text = run.record_path.read_text().replace('"rank"', '"from_the_future": 1, "rank"', 1)
    run.record_path.write_text(text.replace('"id"', '"unknown": true, "id"', 1))
    assert run.record().train_config() == config()


def test_found_by_id_prefix_path_and_last() -> None:
    first, second = create_run(config(name="alpha")), create_run(config(name="beta"))
    prefix = first.path.name.rsplit("-", 1)[0]
    for text in (first.path.name, prefix, str(first.path)):
        assert find_run(text) == first
    assert find_run("last") == second


def test_not_found_names_candidates() -> None:
    with pytest.raises(BadInput, match="no runs in .* yet"):
        find_run("last")
    one, other = create_run(config()), create_run(config())
    with pytest.raises(BadInput, match="not unique") as error:
        find_run(one.path.name[:4])
    assert one.path.name in str(error.value) and other.path.name in str(error.value)
    with pytest.raises(BadInput, match="no run is called 'zzz'; the newest are"):
        find_run("zzz")


def test_a_run_in_a_directory_of_its_own_is_listed_and_found(tmp_path: Path) -> None:
    run = create_run(config(run_dir=str(tmp_path / "mine")))
    assert run.path == tmp_path / "mine"
    assert find_run("last") == run == find_run(str(tmp_path / "mine")) == find_run(run.record().id)
    assert [found for found, _ in list_runs()] == [run]


def test_a_directory_in_use_is_refused(tmp_path: Path) -> None:
    create_run(config(run_dir=str(tmp_path / "mine")))
    with pytest.raises(BadInput, match="already holds a run"):
        create_run(config(run_dir=str(tmp_path / "mine")))
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "thesis.tex").touch()
    with pytest.raises(BadInput, match="not empty"):
        create_run(config(run_dir=str(tmp_path / "other")))


def test_a_place_that_cannot_be_written_is_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(LoraLabError, match="cannot create the run directory .*file"):
        create_run(config(run_dir=str(tmp_path / "file" / "run")))


@pytest.mark.parametrize(
    ("content", "sentence"),
    [("{", "is damaged"), ('{"id": "x", "created": 1, "config": {}, "format": 99}', "newer LoRA Lab")],
)
def test_a_damaged_or_newer_record_is_said_and_not_listed(content: str, sentence: str) -> None:
    run = create_run(config())
    run.record_path.write_text(content)
    with pytest.raises(BadInput, match=sentence):
        open_run(run.path)
    assert list_runs() == []


def test_an_ordinary_directory_is_no_run(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"has no run\.json"):
        find_run(str(tmp_path))


def test_deleting_removes_the_directory_and_its_link(tmp_path: Path, home: Path) -> None:
    run = create_run(config(run_dir=str(tmp_path / "mine")))
    delete_run(run)
    assert not run.path.exists() and os.listdir(home / "runs") == [] and os.listdir(tmp_path) == []


def test_one_that_is_being_deleted_is_not_listed() -> None:
    run = create_run(config())
    run.path.rename(run.path.with_name(f".{run.path.name}.deleted"))  # as far as a deletion that was killed came
    assert list_runs() == []


def test_deleting_leaves_what_links_lead_to(tmp_path: Path) -> None:
    run = create_run(config())
    (tmp_path / "precious").mkdir()
    (tmp_path / "precious" / "thesis.tex").touch()
    (run.path / "adapter").symlink_to(tmp_path / "precious")
    (run.checkpoints / "step-000005").symlink_to(tmp_path / "precious")
    delete_run(run)
    assert os.listdir(tmp_path / "precious") == ["thesis.tex"] and not run.path.exists()


def test_equal_paths_are_the_same_run(tmp_path: Path) -> None:
    assert (
        RunDirectory(tmp_path) == RunDirectory(tmp_path) and len({RunDirectory(tmp_path), RunDirectory(tmp_path)}) == 1
    )
