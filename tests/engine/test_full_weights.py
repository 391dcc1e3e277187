"""A run that trains all weights: who answers in an engine that comes to it when it has ended."""

import json
import shutil
import signal
from pathlib import Path

import pytest

from loralab_core.runs.directory import RunDirectory, find_run
from tests.engine.driving import end_engine, loralab, small_training

pytestmark = pytest.mark.xdist_group("engine")

PROMPT = "Once upon a time"
HOW = ("--max-new-tokens=24", "--json")


def generated(model: Path) -> str:
    out, _ = loralab("generate", "--model", str(model), "--prompt", PROMPT, "--greedy", *HOW)
    text: str = json.loads(out)["text"]
    return text


def chatted(run: RunDirectory, *lines: str) -> tuple[list[dict[str, object]], str]:
    out, err = loralab(
        "chat", "--run", str(run.path), "--continue", "--temperature=0", *HOW, stdin="\n".join([*lines, "/quit", ""])
    )
    return [json.loads(line) for line in out.splitlines()], err


def test_all_weights_answer_as_they_were_trained(fixtures_dir: Path, tmp_path: Path) -> None:
    corpus = shutil.copyfile(fixtures_dir / "corpora" / "the-verdict.txt", tmp_path / "corpus.txt")
    loralab(*small_training(fixtures_dir, mode="full", steps=8, corpus=corpus))
    corpus.unlink()  # to talk to the result, nobody needs it
    run = find_run("last")
    end_engine(signal.SIGTERM)
    expected = generated(run.model)
    assert expected != generated(fixtures_dir / "models" / "stories260K")
    answers, err = chatted(run, PROMPT, PROMPT, "/base", PROMPT)
    assert [answer["text"] for answer in answers] == [expected, expected]
    assert {answer["speaker"] for answer in answers} == {"lora"} and all(answer["new_tokens"] for answer in answers)
    assert "no base beside them" in err and "loralab chat --model" in err
    _, err = loralab("generate", "--model", str(run.model), "--adapter", str(run.path), "--prompt", "x", code=2)
    assert f"--model {run.model}" in err
