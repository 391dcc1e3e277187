"""Answers where memory is short: no longer than fits beside a training step, and a sentence where nothing does."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from loralab_core.device_memory import device_memory
from loralab_core.engine.answers import Answers
from loralab_core.lora import LoadedModel, load
from loralab_core.wire.messages import Failed, Generate, Generated, Piece, Sampling


class Listener:
    """Stands where the server does; nothing else is asked of it."""

    def __init__(self) -> None:
        self.heard: list[Any] = []
        self.inbox = self

    def empty(self) -> bool:
        return True

    def send(self, client: object, message: object) -> None:
        self.heard.append(message)


class Run:
    """As much of a RunHost as answers look at: the memory its next step needs."""

    def __init__(self, reserve: int = 0) -> None:
        self.reserve, self.training = reserve, None


@pytest.fixture(scope="module")
def lm(fixtures_dir: Path) -> LoadedModel:
    return load(fixtures_dir / "models" / "stories260K", "fp32", "cpu")


def answers(lm: LoadedModel, reserve: int = 0) -> tuple[Answers, Listener]:
    listener = Listener()
    return Answers(listener, lambda: lm, Run(reserve)), listener  # type: ignore[arg-type]


def ask(some: Answers, listener: Listener, number: int, tokens: int = 8) -> Failed | Generated:
    sampling = Sampling(temperature=0.0, max_new_tokens=tokens)
    some.ask(object(), Generate(id=number, prompt="Once upon a time", sampling=sampling))  # type: ignore[arg-type]
    while some.waiting:
        some.turn(None)
    last: Failed | Generated = listener.heard[-1]
    assert last.id == number
    return last


def test_what_a_training_step_needs_is_not_given_to_an_answer(lm: LoadedModel) -> None:
    some, listener = answers(lm, reserve=1 << 50)
    refused = ask(some, listener, 1)
    assert isinstance(refused, Failed) and refused.kind == "failed"
    assert "out of memory for this answer" in refused.sentence and "of which training keeps" in refused.sentence


def test_an_answer_is_as_long_as_there_is_memory_for(lm: LoadedModel) -> None:
    a_token = 3 * 2 * lm.model.config.layers * lm.model.config.kv_size * 4
    some, listener = answers(lm, reserve=int(0.9 * device_memory(lm.device).free) - (1 << 20))
    reply = ask(some, listener, 1, tokens=10 * (1 << 20) // a_token)
    if isinstance(reply, Failed):
        pytest.skip("another process took the last megabyte of what was free")
    assert reply.finish in ("length", "context")


def test_memory_that_runs_out_in_an_answer_ends_that_answer_alone(lm: LoadedModel) -> None:
    some, listener = answers(lm)
    some.ask(object(), Generate(id=1, prompt="Once", sampling=Sampling(max_new_tokens=50)))  # type: ignore[arg-type]
    some.turn(None)

    def further() -> Iterator[str]:
        torch.empty(1 << 60)  # what PyTorch really says then
        yield ""

    some._queue[0].pieces = further()
    some.turn(None)
    assert isinstance(listener.heard[-1], Failed) and "out of memory for this answer" in listener.heard[-1].sentence
    assert isinstance(ask(some, listener, 2), Generated)


def test_an_answer_gives_way_to_training_and_says_so(lm: LoadedModel) -> None:
    some, listener = answers(lm)
    assert not some.give_way()
    some.ask(object(), Generate(id=1, prompt="Once", sampling=Sampling(max_new_tokens=50)))  # type: ignore[arg-type]
    while not any(isinstance(one, Piece) for one in listener.heard):
        some.turn(None)
    assert some.give_way() and not some.waiting
    assert "training beside it needed the memory" in listener.heard[-1].sentence
    assert isinstance(ask(some, listener, 2), Generated)
