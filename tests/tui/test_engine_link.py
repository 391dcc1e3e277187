"""The door to the engine: order, bunches, silence, the end."""

import asyncio
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
from textual.message import Message

from loralab_core.errors import LoraLabError
from loralab_core.wire import messages as wire
from loralab_tui.engine import events as said
from loralab_tui.engine.link import EngineLink, GivenUp
from tests.tui.fake_engine import FakeEngine

PATIENCE_S = 10.0


class Heard:
    """Collects what the link posts."""

    def __init__(self) -> None:
        self.messages: list[Message] = []
        self._came = asyncio.Event()

    def __call__(self, message: Message) -> None:
        self.messages.append(message)
        self._came.set()

    def of(self, kind: type[Any]) -> list[Any]:
        return [message for message in self.messages if isinstance(message, kind)]

    async def until(self, condition: Callable[[], object]) -> None:
        async with asyncio.timeout(PATIENCE_S):
            while not condition():
                self._came.clear()
                await self._came.wait()


@pytest.fixture
def heard() -> Heard:
    return Heard()


@pytest.fixture
async def link(engine: FakeEngine, heard: Heard) -> AsyncIterator[EngineLink]:
    link = EngineLink(heard, engine.open, silent_after=0.2)
    await link.open("m", "fp32", "cpu")
    yield link
    await link.close()


async def test_opening_says_so_and_ends_with_the_first_status(link: EngineLink, heard: Heard) -> None:
    kinds = [type(message) for message in heard.messages]
    assert kinds[0] is said.EngineOpening and kinds[-1] is said.EngineReady


async def test_a_replay_comes_in_order_and_in_few_bunches(
    link: EngineLink, heard: Heard, engine: FakeEngine, corpus: Any
) -> None:
    run = await link.train({"model": "m", "corpus": [str(corpus)]}, {})
    engine.steps(1, 3000)
    await heard.until(lambda: sum(len(bunch.events) for bunch in heard.of(said.RunEvents)) == 3001)
    heard.messages.clear()
    await link.attach(run)
    numbers = [event["seq"] for bunch in heard.of(said.RunEvents) for event in bunch.events]
    assert numbers == list(range(1, 3002))
    assert len(heard.of(said.RunEvents)) < 100


async def test_a_refusal_is_raised_with_its_sentence(link: EngineLink, engine: FakeEngine) -> None:
    engine.frozen = True
    waiting = asyncio.create_task(link.resume("/no/run"))
    async with asyncio.timeout(PATIENCE_S):
        while not any(isinstance(request, wire.Resume) for request in engine.asked):
            await asyncio.sleep(0)
    engine.send(wire.Failed(id=engine.last(wire.Resume).id, sentence="/no/run is not a run", kind="bad_input"))
    with pytest.raises(LoraLabError, match="is not a run"):
        await waiting


async def test_a_frozen_engine_is_reported_and_its_return_too(
    link: EngineLink, heard: Heard, engine: FakeEngine
) -> None:
    engine.frozen = True
    await heard.until(lambda: heard.of(said.EngineSilent))
    engine.frozen = False
    engine.send(wire.Done(id=0))
    await heard.until(lambda: heard.of(said.EngineSilent)[-1].seconds == 0)


async def test_the_end_of_the_engine_is_told_once_and_ends_who_waits(
    link: EngineLink, heard: Heard, engine: FakeEngine
) -> None:
    engine.frozen = True
    waiting = asyncio.create_task(link.stop("/some/run"))
    async with asyncio.timeout(PATIENCE_S):
        while not any(isinstance(request, wire.Stop) for request in engine.asked):
            await asyncio.sleep(0)
    await engine.die()
    with pytest.raises(LoraLabError):
        await waiting
    await heard.until(lambda: heard.of(said.EngineLost))
    assert len(heard.of(said.EngineLost)) == 1 and not link.connected
    with pytest.raises(LoraLabError, match="F6"):
        await link.stop("/some/run")


async def test_whoever_waits_for_an_answer_is_told_when_the_engine_is_left(
    link: EngineLink, heard: Heard, engine: FakeEngine
) -> None:
    request = link.new_request()
    await link.ask(wire.Generate(id=request, prompt="Once"))
    await link.connect(engine.socket)
    await heard.until(lambda: heard.of(said.AnswerFailed))
    assert heard.of(said.AnswerFailed)[0].request == request
    await link.cancel(request)
    await link.attach("run")
    assert not [one for one in engine.asked if isinstance(one, wire.Cancel)], "the number is another's now"


async def test_two_that_open_at_once_leave_one_connection(engine: FakeEngine, heard: Heard) -> None:
    link = EngineLink(heard, engine.open)
    await asyncio.gather(link.open("m", "fp32", "cpu"), link.open("m", "fp32", "cpu"))
    listening = [task for task in asyncio.all_tasks() if "_listen" in str(task.get_coro())]
    assert len(listening) == 1
    await link.close()


async def test_an_opening_that_was_given_up_reports_nothing_more(engine: FakeEngine, heard: Heard) -> None:
    reports: list[Callable[[int, int, str], None]] = []

    def slow(model: str, base: str, device: str, progress: Callable[[int, int, str], None], run: str = "") -> Path:
        reports.append(progress)
        progress(1, 2, f"downloading {model}")
        return engine.socket

    link = EngineLink(heard, slow)
    await link.open("one", "fp32", "cpu")
    await link.open("two", "fp32", "cpu")
    with pytest.raises(LoraLabError):
        reports[0](2, 2, "downloading one")
    assert [one.what for one in heard.of(said.EngineLoading)] == ["downloading one", "downloading two"]
    await link.close()


async def test_a_download_can_be_given_up(heard: Heard) -> None:
    ended = threading.Event()

    def downloads(model: str, base: str, device: str, progress: Callable[[int, int, str], None], run: str = "") -> Path:
        try:
            while True:
                progress(1, 2, "downloading")
                time.sleep(0.001)
        finally:
            ended.set()

    link = EngineLink(heard, downloads)
    opening = asyncio.create_task(link.open("m", "fp32", "cpu"))
    await heard.until(lambda: heard.of(said.EngineLoading))
    link.give_up()
    with pytest.raises(GivenUp):
        await opening
    assert await asyncio.to_thread(ended.wait, PATIENCE_S) and not link.opening


async def test_who_only_asks_whether_anybody_waits_reports_nothing_and_hears_when_nobody_does(heard: Heard) -> None:
    ended = threading.Event()

    def starts(model: str, base: str, device: str, progress: Callable[[int, int, str], None], run: str = "") -> Path:
        try:
            while True:
                progress(0, 0, "")
                time.sleep(0.001)
        finally:
            ended.set()

    link = EngineLink(heard, starts)
    opening = asyncio.create_task(link.open("m", "fp32", "cpu"))
    await heard.until(lambda: link.opening)
    opening.cancel()  # as at the program's end
    assert await asyncio.to_thread(ended.wait, PATIENCE_S) and not heard.of(said.EngineLoading)


async def test_leaving_on_purpose_is_no_loss(link: EngineLink, heard: Heard) -> None:
    await link.close()
    assert not heard.of(said.EngineLost)


async def test_a_model_that_is_not_read_yet_is_read_at_once_and_what_fails_is_said(
    engine: FakeEngine, heard: Heard
) -> None:
    engine.loaded = False
    link = EngineLink(heard, engine.open)
    await link.open("m", "fp32", "cpu")
    await until_asked(engine, wire.Load)
    engine.send(wire.Failed(id=engine.last(wire.Load).id, sentence="the model is torn"))
    await heard.until(lambda: heard.of(said.ModelNotRead))
    assert heard.of(said.ModelNotRead)[0].sentence == "the model is torn" and link.connected
    await link.close()


async def test_reading_can_be_cancelled_which_the_engine_confirms(engine: FakeEngine, heard: Heard) -> None:
    engine.loaded = False
    link = EngineLink(heard, engine.open)
    await link.open("m", "fp32", "cpu")
    await until_asked(engine, wire.Load)
    await link.cancel_load()
    await until_asked(engine, wire.Cancel)
    load = engine.last(wire.Load).id
    assert engine.last(wire.Cancel).target == load
    engine.send(wire.Failed(id=load, sentence="reading the model was cancelled"))
    await heard.until(lambda: heard.of(said.ModelNotRead))
    assert "cancelled" in heard.of(said.ModelNotRead)[0].sentence
    await link.cancel_load()
    assert len([request for request in engine.asked if isinstance(request, wire.Cancel)]) == 1, (
        "nothing is left to cancel"
    )
    await link.close()


async def test_a_model_that_is_there_is_not_read_again(link: EngineLink, engine: FakeEngine) -> None:
    await link.attach("run")
    assert not [request for request in engine.asked if isinstance(request, wire.Load)]


async def until_asked(engine: FakeEngine, kind: type[wire.Request]) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while not any(isinstance(request, kind) for request in engine.asked):
            await asyncio.sleep(0.01)


LEFT = """
import asyncio, sys, threading
from loralab_tui.engine.link import EngineLink, GivenUp

def silent(model, base, device, progress, run):
    threading.Event().wait()

async def leave():
    link = EngineLink(lambda message: None, silent)
    opening = asyncio.create_task(link.open("owner/name", "fp32", "cpu"))
    while not link.opening:
        await asyncio.sleep(0)
    opening.cancel()

asyncio.run(leave())
"""


def test_the_program_ends_without_an_opening_that_hears_nothing() -> None:
    """A Hub that is silent would keep the terminal for as long as one is patient with it."""
    subprocess.run([sys.executable, "-c", LEFT], timeout=20, check=True)
