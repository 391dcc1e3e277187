"""`loralab chat`: who answers, what each remembers, why an answer was cut, and how it goes on."""

import io
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from loralab_core.cli.main import main
from loralab_core.runs.directory import RunDirectory
from loralab_core.wire.messages import Generate
from tests.cli.conftest import Studio


def chat(
    monkeypatch: pytest.MonkeyPatch,
    model: Path,
    *lines: str,
    adapter: Path | None = None,
    options: Sequence[str] = (),
) -> int:
    monkeypatch.setattr(sys, "stdin", io.StringIO("".join(f"{line}\n" for line in lines)))
    words = ["chat", "--model", str(model), "--base", "fp32", "--device", "cpu"]
    return main([*words, *(["--adapter", str(adapter)] if adapter else []), *options])


def test_a_conversation_with_the_base(
    studio: Studio, model: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert chat(monkeypatch, model, "hello", "and now?", "/lora", "/new", "again", "/quit", "never") == 0
    printed = capsys.readouterr()
    assert printed.out.split("\n") == ["base hears 1 ", "base hears 3 ", "base hears 1 ", ""]
    assert "there is no adapter" in printed.err


def test_a_line_that_is_no_text_is_passed_over(
    studio: Studio, model: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"caf\xe9\nhello\n/quit\n"), encoding="utf-8"))
    assert main(["chat", "--model", str(model), "--base", "fp32", "--device", "cpu"]) == 0
    printed = capsys.readouterr()
    assert printed.out.split("\n") == ["base hears 1 ", ""] and "not UTF-8 text; write it anew" in printed.err


def test_each_speaker_hears_only_its_own_answers(
    studio: Studio,
    model: Path,
    run: RunDirectory,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert chat(monkeypatch, model, "one", "/both", "two", "/base", "three", adapter=run.adapter) == 0
    assert capsys.readouterr().out.split("\n") == [
        "adapter hears 1 ",
        "base: base hears 1 ",
        "lora: adapter hears 3 ",
        "base hears 3 ",
        "",
    ]


@pytest.mark.parametrize(
    ("ending", "words"), [("eos", ""), ("length", "cut at 256 tokens"), ("context", "fill the 64 tokens")]
)
def test_a_conversation_says_why_an_answer_was_cut(
    studio: Studio,
    model: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    ending: str,
    words: str,
) -> None:
    studio.ending = ending
    assert chat(monkeypatch, model, "hello") == 0
    said = capsys.readouterr().err
    assert words in said and ("cut" in said) == bool(words)


def test_more_goes_on_with_what_was_cut(
    studio: Studio, model: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    studio.ending = "length"
    assert chat(monkeypatch, model, "hello", "/more", "/more", "and now?", "/new", "/more") == 0
    printed = capsys.readouterr()
    asked = [request for request in studio.asked if isinstance(request, Generate)]
    assert [request.continue_final_message for request in asked] == [False, True, True, False]
    turns = [[turn["content"] for turn in request.messages or []] for request in asked]
    assert turns[1] == ["hello", "base hears 1"]
    assert turns[2] == ["hello", "base hears 1base hears 2"], "each time the whole answer so far"
    assert turns[3] == ["hello", "base hears 1base hears 2base hears 2", "and now?"]
    assert "/more goes on" in printed.err and "no answer was cut" in printed.err.splitlines()[-1]


def test_more_of_both_and_of_a_text(
    studio: Studio,
    model: Path,
    run: RunDirectory,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    studio.ending = "length"
    assert chat(monkeypatch, model, "/both", "one", "/more", adapter=run.adapter) == 0
    assert capsys.readouterr().out.split("\n")[2:4] == ["base: base hears 2 ", "lora: adapter hears 2 "]
    assert chat(monkeypatch, model, "Once", "/more", options=["--continue"]) == 0
    last = studio.asked[-1]
    assert isinstance(last, Generate) and (last.prompt, last.continue_final_message) == ("Oncebase hears 0", False)


def test_nothing_goes_on_that_has_ended(
    studio: Studio, model: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert chat(monkeypatch, model, "hello", "/more") == 0
    assert sum(isinstance(request, Generate) for request in studio.asked) == 1
    assert "no answer was cut" in capsys.readouterr().err
