"""The engine on a base in 4 bits: trained, asked meanwhile, killed and resumed as on any other."""

import json
import signal
from pathlib import Path

import pytest

from loralab_core.runs.directory import find_run
from loralab_core.wire.client import Client
from loralab_core.wire.messages import EngineStatus, Failed, Status
from tests.engine.driving import (
    ask,
    connect,
    detached,
    end_engine,
    loralab,
    question,
    small_training,
    wait_for_end,
    wait_for_step,
    weights,
)

pytestmark = pytest.mark.xdist_group("engine")

PROMPT = "Once upon a time"


def said(fixtures: Path, *more: str) -> str:
    """By a process of its own."""
    model = ["--model", str(fixtures / "models" / "stories260K"), "--base", "nf4", "--device", "cpu", "--threads", "1"]
    out, _ = loralab("generate", *model, "--greedy", "--max-new-tokens", "24", "--json", "--prompt", PROMPT, *more)
    text: str = json.loads(out)["text"]
    return text


def test_trained_asked_killed_and_resumed(fixtures_dir: Path) -> None:
    settings = {"base": "nf4", "batch": 16, "lr": 0.02, "save_every": 1, "set": "keep=100", "steps": 6}
    run = detached(small_training(fixtures_dir, **settings))
    with connect() as client:
        wait_for_step(run, 1)
        tuned, base = ask(client, PROMPT), ask(client, PROMPT, speaker="base")
        assert tuned.started and tuned.ended and tuned.started.step and base.ended
        status = client.ask(Status(id=client.next_id()))
        assert isinstance(status, EngineStatus) and status.base == "nf4"
    wait_for_step(run, tuned.started.step)
    end_engine(signal.SIGKILL)
    loralab("resume", str(run.path))
    checkpoint = run.checkpoints / f"step-{tuned.started.step:06d}"
    assert tuned.ended.text == said(fixtures_dir, "--adapter", str(checkpoint))
    assert base.ended.text == said(fixtures_dir) != tuned.ended.text
    loralab(*small_training(fixtures_dir, **settings))
    assert weights(find_run("last")) == weights(run)


def test_a_question_may_ask_for_integers(fixtures_dir: Path) -> None:
    run = detached(small_training(fixtures_dir, base="nf4", steps=2))
    wait_for_end(run)
    with connect() as client:
        assert asked(client, "w4a8") == asked(client, "w4a16")  # the reference multiplies alike


def test_integers_want_a_quantised_base(fixtures_dir: Path) -> None:
    run = detached(small_training(fixtures_dir, steps=2))
    wait_for_end(run)
    with connect() as client:
        assert "--base nf4" in asked(client, "w4a8")


def asked(client: Client, compute: str) -> str:
    """The answer, or why there is none."""
    import msgspec

    request = msgspec.structs.replace(question(client, PROMPT, speaker="base"), compute=compute)
    client.send(request)
    while True:
        response = client.receive(60)
        if isinstance(response, Failed):
            return response.sentence
        if getattr(response, "finish", None):
            text: str = response.text  # type: ignore[union-attr]
            return text
