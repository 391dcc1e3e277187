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
