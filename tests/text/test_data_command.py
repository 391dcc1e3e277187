"""`loralab data show`: the detected format, samples with the mask, statistics; words for people, JSON for programs."""

import argparse
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from loralab_core.cli import data
from loralab_core.errors import BadInput
from loralab_core.text.statistics import histogram_line

Show = Callable[..., int]


@pytest.fixture
def show(fixtures_dir: Path, tmp_path: Path, monkeypatch) -> Show:
    monkeypatch.setenv("LORALAB_HOME", str(tmp_path / "home"))
    parser = argparse.ArgumentParser()
    data.add_parser(parser.add_subparsers())

    def run(corpus: str, *options: str) -> int:
        model = fixtures_dir / "models/stories3M"
        path = fixtures_dir / "corpora" / corpus
        args = parser.parse_args(["data", "show", str(path), "--model", str(model), *options])
        return int(args.run(args))

    return run


def test_a_person_sees_format_samples_with_marks_and_statistics(show: Show, capsys) -> None:
    assert show("instruction-data.alpaca-format.json") == 0
    out = capsys.readouterr().out
    assert "Alpaca instructions, 1,100 rows" in out
    assert out.count("── row") == 3
    assert out.count("⟦") == 4  # the legend and one answer in each sample
    assert '⟦The spelling of the given phrase "freind" is incorrect' in out
    assert "\033[" not in out  # no terminal, no colour
    assert "p50" in out


def test_a_program_gets_one_object(show: Show, capsys) -> None:
    assert show("v1_sft_demo.jsonl", "--json", "--rows", "2", "--seq-len", "128") == 0
    facts = json.loads(capsys.readouterr().out)
    assert facts["format"] == "chats in messages format, 500 rows"
    assert facts["rows"] == 500
    assert len(facts["samples"]) == 2
    assert facts["samples"][0]["shown_tokens"] <= 128
    assert [part["trained"] for part in facts["samples"][0]["parts"]] == [False, True, False]
    assert 0 < facts["trained_tokens"] < facts["tokens"]
    assert sum(facts["lengths"]["counts"]) == 500


def test_prompt_loss_marks_everything(show: Show, capsys) -> None:
    show("v1_sft_demo.jsonl", "--json", "--rows", "1", "--prompt-loss")
    (sample,) = json.loads(capsys.readouterr().out)["samples"]
    assert [part["trained"] for part in sample["parts"]] == [True]


def test_bad_input_is_raised_for_main_to_say(show: Show) -> None:
    with pytest.raises(BadInput, match="does not exist"):
        show("nowhere.txt")


def test_escape_sequences_of_a_corpus_do_not_reach_the_terminal(show: Show, tmp_path: Path, capsys) -> None:
    (tmp_path / "a.txt").write_text("red \033[31m bell \a end")
    show(str(tmp_path / "a.txt"))
    out = capsys.readouterr().out
    assert "\033" not in out
    assert "\a" not in out


def test_histograms_show_every_bin_that_holds_something() -> None:
    assert histogram_line([0, 1, 50, 100]) == " ▁▄█"
    assert histogram_line([]) == ""


def test_a_long_document_is_shown_at_several_places(show: Show, capsys) -> None:
    show("the-verdict.txt", "--json", "--rows", "4", "--seq-len", "64")
    samples = json.loads(capsys.readouterr().out)["samples"]
    assert len({sample["piece"] for sample in samples}) == 4
    assert all(sample["piece"] <= sample["pieces"] and sample["shown_tokens"] <= 64 for sample in samples)


def test_what_is_skipped_is_named_by_its_first_line(show: Show, tmp_path: Path, capsys) -> None:
    path = tmp_path / "a.jsonl"
    rows = [{"prompt": "a", "completion": answer} for answer in ("b", "", "c", "")]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    show(str(path), "--json")
    facts = json.loads(capsys.readouterr().out)
    assert (facts["skipped"], facts["first_skipped"]) == (2, "line 2 of a.jsonl")


def test_progress_comes_as_lines_before_the_object(show: Show, capsys) -> None:
    show("the-verdict.txt", "--json", "--stream", "--seq-len", "64")
    *before, last = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert before and all(line["event"] == "tokenizing" for line in before)
    assert before[-1]["done_bytes"] == before[-1]["total_bytes"]
    assert last["windows"] > 0 and 0 < last["fill"] <= 1


def test_one_very_long_row_does_not_flatten_the_histogram(show: Show, tmp_path: Path, capsys) -> None:
    path = tmp_path / "a.jsonl"
    texts = ["word " * count for count in (5, 10, 20, 40, 5000)]
    path.write_text("".join(json.dumps({"text": text}) + "\n" for text in texts))
    show(str(path), "--json", "--seq-len", "64")
    facts = json.loads(capsys.readouterr().out)["histogram"]
    assert facts["edges"][-1] <= 4 * 64 + 1
    assert sum(facts["counts"]) == 5


@pytest.mark.parametrize("val", ["-0.1", "1", "nan"])
def test_a_share_that_is_none_is_refused(val: str, show: Show) -> None:
    with pytest.raises(BadInput, match="--val .* does not fit"):
        show("the-verdict.txt", f"--val={val}")
