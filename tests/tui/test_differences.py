"""Two runs side by side: what differs, which did better, and when that cannot be said."""

from typing import Any

from loralab_core.runs.directory import RunDirectory
from loralab_tui.runs.differences import differences, results, warning
from loralab_tui.runs.reading import Reading, read_run, unusual
from tests.tui.made_runs import made_run


def reading(steps: int = 20, prepared: dict[str, Any] | None = None, **config: Any) -> Reading:
    run: RunDirectory = made_run(steps, **config)
    if prepared is not None:
        run.prepare(prepared)
    return read_run(str(run.path))


def better(a: Reading, b: Reading) -> dict[str, int | None]:
    return {row.name: row.better for row in results(a, b)}


def test_only_what_differs_is_listed() -> None:
    rows = {row.name: row.values for row in differences(reading(rank=16, lr=1e-4, name="a"), reading(name="b"))}
    assert rows == {"rank": ("16", "8"), "lr": ("1e-4", "2e-4")}
    assert differences(reading(), reading()) == []


def test_the_lower_loss_on_the_same_text_is_the_better_one() -> None:
    short, long = reading(20), reading(60)
    assert warning(short, long) == ""
    assert (better(short, long)["best validation"], better(long, short)["best validation"]) == (1, 0)
    assert better(short, short)["best validation"] is None and better(short, long)["last loss"] is None


def test_losses_of_different_texts_are_no_contest() -> None:
    a, b = reading(20), reading(60, corpus=("/data/other.txt",))
    assert "corpora differ" in warning(a, b) and better(a, b)["best validation"] is None
    a, b = reading(20), reading(60, model="/models/other")
    assert "models differ" in warning(a, b) and better(a, b)["its perplexity"] is None
    a, b = reading(20, seq_len=64), reading(60, seq_len=128)
    assert "length" in warning(a, b) and better(a, b)["best validation"] is None


def test_what_was_read_counts_not_where_it_lay() -> None:
    one = {"corpus_fingerprint": "1", "model_fingerprint": "m"}
    moved = reading(prepared=one, corpus=("/new/place.txt",))
    assert warning(reading(prepared=one), moved) == ""
    rewritten = reading(prepared={**one, "corpus_fingerprint": "2"})
    assert "corpora differ" in warning(reading(prepared=one), rewritten)


def test_settings_that_are_the_default_are_not_told() -> None:
    assert unusual(reading(rank=16, lr=1e-4, name="x", prompts=("Who?",)).record) == ["rank 16", "lr 1e-4"]
    assert unusual(reading().record) == []
