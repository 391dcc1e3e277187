"""Going on after the end: more steps for a finished run, and what is refused without touching it."""

import shutil
from pathlib import Path

import pytest

from loralab_core.runs.directory import RunDirectory, find_run
from loralab_core.runs.events import read
from loralab_core.runs.summary import summarise
from tests.engine.driving import events_of, loralab, small_training, steps_of, weights
from tests.engine.homes import home  # noqa: F401

pytestmark = pytest.mark.xdist_group("engine")


def test_ten_steps_and_ten_more_are_twenty(fixtures_dir: Path, tmp_path: Path) -> None:
    loralab(*small_training(fixtures_dir, steps=10, run_dir=tmp_path / "in two"))
    two = find_run(str(tmp_path / "in two"))
    after_ten = weights(two)
    out, _ = loralab("resume", str(two.path), "--steps", "20", "--json")
    events = events_of(out)
    assert [event["event"] for event in events[:3]] == ["resumed", "changed", "prepared"]
    assert events[0]["step"] == 10 and events[1]["steps"] == 20 and events[-1]["steps"] == 20
    loralab(*small_training(fixtures_dir, steps=20, run_dir=tmp_path / "at once"))
    assert after_ten != weights(two) == weights(find_run(str(tmp_path / "at once")))
    assert steps_of(two) == list(range(1, 21))


def test_a_schedule_that_falls_is_stretched_over_the_new_length(fixtures_dir: Path) -> None:
    loralab(*small_training(fixtures_dir, steps=6, schedule="cosine"))
    out, _ = loralab("resume", "last", "--steps", "12", "--json")
    rates = [event["lr"] for event in read(find_run("last").events_path) if event["event"] == "step"]
    assert rates[:6] == sorted(rates[:6], reverse=True) and rates[6:] == sorted(rates[6:], reverse=True)
    assert rates[5] < rates[6] == pytest.approx(0.001)  # half of the way, so half of the peak
    assert events_of(out)[-1]["event"] == "done"


def test_fewer_steps_than_made_are_refused_and_the_run_stays_finished(fixtures_dir: Path) -> None:
    loralab(*small_training(fixtures_dir, steps=4))
    run = find_run("last")
    before = read(run.events_path)
    _, said = loralab("resume", "last", "--steps", "3", code=2)
    assert said.count("\n") == 1 and str(run.path) in said and "4" in said
    assert read(run.events_path) == before and summarise(run).status == "finished"


def test_resuming_a_finished_run_ends_as_it_was(fixtures_dir: Path) -> None:
    loralab(*small_training(fixtures_dir, steps=4))
    run = find_run("last")
    before = weights(run)
    shutil.rmtree(run.adapter)
    loralab("resume", "last")
    assert weights(run) == before and steps_of(run) == [1, 2, 3, 4]


@pytest.fixture
def own(fixtures_dir: Path, tmp_path: Path) -> dict[str, Path]:
    """Copies of a model and a corpus that may be changed."""
    model, corpus = tmp_path / "model", tmp_path / "corpus.txt"
    shutil.copytree(fixtures_dir / "models" / "stories260K", model, copy_function=shutil.copyfile)
    model.chmod(0o755)
    shutil.copyfile(fixtures_dir / "corpora" / "the-verdict.txt", corpus)
    return {"model": model, "corpus": corpus}


def refused(run: RunDirectory, what: Path) -> None:
    before = read(run.events_path)
    _, said = loralab("resume", str(run.path), "--steps", "8", code=2)
    assert said.count("\n") == 1 and str(what) in said and "put the old" in said
    assert read(run.events_path) == before


def test_a_corpus_that_changed_meanwhile_is_refused(own: dict[str, Path], fixtures_dir: Path) -> None:
    loralab(*small_training(fixtures_dir, steps=4, **own))
    run, text = find_run("last"), own["corpus"].read_text()
    own["corpus"].write_text(text.replace("Gisburn", "Osburne"))  # as long as before
    refused(run, own["corpus"])
    own["corpus"].write_text(text)
    loralab("resume", "last", "--steps", "8")
    assert steps_of(run) == list(range(1, 9))


def test_other_weights_of_the_same_shape_are_refused(own: dict[str, Path], fixtures_dir: Path) -> None:
    """They are noticed although the engine has the old ones in memory, and a new run gets the new ones."""
    loralab(*small_training(fixtures_dir, steps=4, **own))
    run, file = find_run("last"), own["model"] / "model.safetensors"
    content = bytearray(file.read_bytes())
    for place in range(len(content) // 2, len(content), 4):
        content[place] ^= 1  # the last bit of some thousand weights, as a little tuning would
    file.write_bytes(content)
    refused(run, own["model"])
    loralab(*small_training(fixtures_dir, steps=4, **own))
    other = find_run("last")
    prepared = [one.record().prepared or {} for one in (run, other)]
    assert prepared[0]["model_fingerprint"] != prepared[1]["model_fingerprint"]
    assert weights(run) != weights(other)
