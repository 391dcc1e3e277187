"""The door to the engine: order, bunches, silence, the end."""

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from textual.message import Message

from loralab_core.errors import LoraLabError
from loralab_core.wire import messages as wire
from loralab_tui import engine_events as said
from loralab_tui.engine_link import EngineLink
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


async def test_leaving_on_purpose_is_no_loss(link: EngineLink, heard: Heard) -> None:
    await link.close()
    assert not heard.of(said.EngineLost)
