"""A run that trains all weights: who answers in an engine that comes to it when it has ended."""

import json
import shutil
import signal
from pathlib import Path

import pytest

from loralab_core.errors import BadInput
from loralab_core.runs.config import config_from
from loralab_core.runs.directory import RunDirectory, create_run, find_run
from loralab_core.runs.events import read
from loralab_core.wire.messages import Resume, Train
from tests.engine.driving import (
    connect,
    detached,
    end_engine,
    loralab,
    small_training,
    steps_of,
    the_engine,
    wait_for_end,
)

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


def test_the_run_has_one_engine_all_its_life(fixtures_dir: Path) -> None:
    """Who trains it, talks to it or takes it up again comes to the same process, also from the screen."""
    from loralab_tui.engine.opening import open_engine

    loralab(*small_training(fixtures_dir, mode="full", steps=4))
    run, engine = find_run("last"), the_engine()
    assert engine.mode == run.record().id
    answers, _ = chatted(run, PROMPT)
    assert answers[0]["speaker"] == "lora"
    loralab("resume", "last", "--steps", "6")
    assert steps_of(run) == list(range(1, 7))
    config = run.record().config
    place = open_engine(config["model"], config["base"], config["device"], lambda *_: None, str(run.path))
    assert str(place) == engine.socket and the_engine() == engine


def test_a_shared_model_is_never_changed(fixtures_dir: Path) -> None:
    run = detached(small_training(fixtures_dir, steps=2))
    config = run.record().config
    with connect() as client:
        with pytest.raises(BadInput, match="all weights must be trained in another one"):
            client.ask(Train(id=client.next_id(), config=config | {"mode": "full"}))
        wait_for_end(run)
        own = create_run(config_from(config | {"mode": "full"}))
        with pytest.raises(BadInput, match="holds a shared model"):
            client.ask(Resume(id=client.next_id(), run=str(own.path)))
    assert not read(own.events_path)
