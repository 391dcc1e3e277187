"""`loralab generate`: one answer that streams, or those to a file of prompts, in order."""

import io
import json
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from loralab_core.cli.main import main

PROMPTS = ["Once upon a time, there was a little girl", "The", "Tom and Sam went to the park"]


@pytest.fixture
def words(fixtures_dir: Path) -> list[str]:
    model = fixtures_dir / "models" / "stories3M"
    return f"generate --model {model} --base fp32 --device cpu --greedy --max-new-tokens 12".split()


@pytest.fixture
def expected(words: list[str], capsys: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    """Each prompt alone."""
    return [printed(capsys, *words, "--prompt", prompt, "--json")[0] for prompt in PROMPTS]


def printed(capsys: pytest.CaptureFixture[str], *arguments: str) -> list[dict[str, Any]]:
    assert main(arguments) == 0
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def test_a_file_of_prompts_is_answered_in_order(
    words: list[str], expected: list[dict[str, Any]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "prompts.txt"
    file.write_bytes("\ufeff{}\r\n\n{}\n{}".format(*PROMPTS).encode())
    for size in ("1", "2", "16"):
        found = printed(capsys, *words, "--prompts", str(file), "--batch-size", size, "--json")
        assert [(each["index"], each["prompt"]) for each in found] == list(enumerate(PROMPTS))
        for each, alone in zip(found, expected, strict=True):
            assert {key: each[key] for key in ("text", "prompt_tokens", "new_tokens", "finish")} == {
                key: value for key, value in alone.items() if key != "tokens_per_s"
            }


def test_prompts_of_every_kind_and_place(
    words: list[str],
    expected: list[dict[str, Any]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    question = [{"role": "user", "content": PROMPTS[0]}]
    (tmp_path / "asked.jsonl").write_text("\n".join(map(json.dumps, ({"prompt": PROMPTS[1]}, {"messages": question}))))
    found = printed(capsys, *words, "--prompt", PROMPTS[2], "--prompts", str(tmp_path / "asked.jsonl"), "--json")
    assert [each["text"] for each in found[:2]] == [expected[2]["text"], expected[1]["text"]]
    chat = printed(capsys, *words, "--prompt", PROMPTS[0], "--chat", "--json")[0]["text"]
    assert found[2]["messages"] == question and found[2]["text"] == chat != expected[0]["text"]
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO("\ufeff{}\r\n{}\n{}".format(*PROMPTS).encode())))
    assert [each["text"] for each in printed(capsys, *words, "--prompts", "-", "--json")] == [
        each["text"] for each in expected
    ]


def test_answers_for_a_person(
    words: list[str], expected: list[dict[str, Any]], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*words, "--prompt", PROMPTS[0], "--prompt", PROMPTS[1]]) == 0
    said = capsys.readouterr()
    assert said.out == "".join(
        f"── {number} · {prompt}\n{alone['text']}\n\n"
        for number, prompt, alone in zip((1, 2), PROMPTS, expected, strict=False)
    )
    assert "2 of 2 answers were cut by --max-new-tokens" in said.err
    assert main([*words, "--prompt", PROMPTS[0]]) == 0
    said = capsys.readouterr()
    assert said.out == expected[0]["text"] + "\n" and "cut at 12 tokens; --max-new-tokens allows more" in said.err


def test_a_full_context_is_said(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*words, "--prompt", "the " * 505]) == 0
    assert "fill the 512 tokens that this model reads" in capsys.readouterr().err
    assert main([*words, "--prompt", "a", "--prompt", "word " * 600]) == 2
    said = capsys.readouterr()
    assert said.out == "" and "prompt 2: the prompt has" in said.err


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("x.txt", b"\n \n", "x.txt has no prompt in it"),
        ("x.txt", b"caf\xe9", "x.txt is not valid UTF-8 at byte 3"),
        ("x.txt", b"a\0b", "NUL at byte 1"),
        ("x.jsonl", b'{"prompt": "a"}\n{"prompt": 3}', 'x.jsonl, line 2 should hold a "prompt"'),
        ("x.jsonl", b'{"messages": ["a"]}', "x.jsonl, line 1 should hold"),
        ("x.jsonl", b'{"messages": [{"role": "user"}], "tools": 3}', 'x.jsonl, line 1 has "tools" that are not a list'),
        ("x.jsonl", b'{"prompt": "a"', "x.jsonl, line 1 is not valid JSON"),
        ("nowhere/x.txt", None, "x.txt cannot be read (No such file or directory)"),
    ],
)
def test_a_file_that_cannot_be_asked_from_is_named_before_a_model_is_read(
    name: str, content: bytes | None, said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content)
    assert main(["generate", "--model", "/nowhere", "--prompts", str(tmp_path / name)]) == 2
    assert said in capsys.readouterr().err


@pytest.mark.parametrize("option", ["--prompt", "--prompts"])
def test_standard_input_that_is_no_text_is_refused(
    option: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"caf\xe9"), errors="surrogateescape"))
    assert main(["generate", "--model", "/nowhere", option, "-"]) == 2
    assert "standard input is not valid UTF-8 at byte 3" in capsys.readouterr().err


def test_tools_that_the_model_would_never_see_are_refused(
    words: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    row = {"messages": [{"role": "user", "content": "hello"}], "tools": [{"name": "weather"}]}
    (tmp_path / "asked.jsonl").write_text(json.dumps(row))
    assert main([*words, "--prompts", str(tmp_path / "asked.jsonl")]) == 2
    assert "asked.jsonl, line 1: the model's chat template has no place for tools" in capsys.readouterr().err


def test_nothing_asked_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["generate", "--model", "/nowhere"]) == 2
    assert "give --prompt with a text, or --prompts" in capsys.readouterr().err


@pytest.mark.parametrize("more", (["--batch-size", "1"], ["--batch-size", "2"]), ids=("alone", "together"))
def test_ctrl_c_keeps_what_was_answered(words: list[str], tmp_path: Path, more: list[str]) -> None:
    (tmp_path / "prompts.txt").write_text("Once upon a time\n" * 500)
    asked = [*words, "--prompts", str(tmp_path / "prompts.txt"), "--json", *more]
    pipe = subprocess.PIPE
    process = subprocess.Popen(
        [sys.executable, "-m", "loralab_core.cli.main", *asked], bufsize=0, stdout=pipe, stderr=pipe
    )
    assert process.stdout is not None
    first = process.stdout.readline()
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=120)
    answers = [json.loads(line) for line in (first + out).splitlines()]
    assert process.returncode == 130, err
    assert [each["index"] for each in answers] == list(range(len(answers))) and len(answers) < 500
    assert all(each["finish"] == "length" for each in answers)
    assert f"stopped: {len(answers)} of 500 prompts were answered" in err.decode()
