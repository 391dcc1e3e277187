"""Both clients: greeting, answers by id, refusals as errors, and what they say when the engine goes away."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from loralab_core.errors import BadInput, LoraLabError
from loralab_core.wire.client import AsyncClient, Client, EngineFrozen, EngineGone
from loralab_core.wire.messages import (
    Done,
    EngineStatus,
    Failed,
    Generate,
    Generated,
    Piece,
    Request,
    RunEvent,
    Status,
    Stop,
)
from tests.wire.fake_engine import FakeEngine, Send


@pytest.fixture
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("s") / "engine.sock"


def play(request: Request, send: Send) -> None:
    """Events in between, then the answer."""
    send(RunEvent(run="/r", event={"event": "step", "seq": 1, "step": 1}))
    if isinstance(request, Status):
        send(EngineStatus(id=request.id, pid=1, model="/m", base="fp32", device="cpu", loaded=True))
    elif isinstance(request, Generate):
        send(Piece(id=request.id, text="to be"))
        send(Generated(id=request.id, text="to be"))
    elif isinstance(request, Stop):
        send(Failed(id=request.id, sentence="no such run", kind="bad_input"))


@pytest.fixture
def engine(path: Path) -> Iterator[FakeEngine]:
    with FakeEngine(path, play) as fake:
        yield fake


def test_an_answer_is_found_among_events(engine: FakeEngine, path: Path) -> None:
    with Client(path) as client:
        status = client.ask(Status(id=client.next_id()))
        assert isinstance(status, EngineStatus) and status.model == "/m"


def test_a_refusal_becomes_the_error_it_is(engine: FakeEngine, path: Path) -> None:
    with Client(path) as client, pytest.raises(BadInput, match="no such run"):
        client.ask(Stop(id=client.next_id(), run="/r"))


def test_waiting_for_a_while_loses_nothing(engine: FakeEngine, path: Path) -> None:
    with Client(path) as client:
        assert client.receive(timeout=0.05) is None
        client.send(Status(id=1))
        assert isinstance(client.receive(5), RunEvent) and isinstance(client.receive(5), EngineStatus)


def test_nobody_there_is_said(path: Path) -> None:
    with pytest.raises(EngineGone, match="no engine answers"):
        Client(path)


def test_another_version_is_refused_by_both(path: Path) -> None:
    with FakeEngine(path, version=99):
        with pytest.raises(LoraLabError, match="it speaks version 99"):
            Client(path)
        with pytest.raises(LoraLabError, match="it speaks version 99"):
            asyncio.run(AsyncClient.connect(path))


def test_a_frozen_engine_is_noticed_by_both(path: Path) -> None:
    with FakeEngine(path, silent=True):
        with pytest.raises(EngineFrozen, match="does not answer"):
            Client(path, timeout=0.2)
        with pytest.raises(EngineFrozen, match="does not answer"):
            asyncio.run(AsyncClient.connect(path, timeout=0.2))


def test_an_engine_that_dies_is_said_with_its_log(engine: FakeEngine, path: Path, home: Path) -> None:
    (home / "engines").mkdir()
    log = home / "engines" / "engine.log"
    log.touch()
    with Client(path) as client:
        engine.die()
        with pytest.raises(EngineGone, match=f"the engine ended; its log: {log}"):
            client.ask(Status(id=1))


async def test_async_requests_and_iteration_side_by_side(engine: FakeEngine, path: Path) -> None:
    client = await AsyncClient.connect(path)
    seen: list[str] = []

    async def listen() -> None:
        async for response in client:
            seen.append(type(response).__name__)

    listening = asyncio.create_task(listen())
    status, generated = await asyncio.gather(
        client.request(Status(id=client.next_id())), client.request(Status(id=client.next_id()))
    )
    assert isinstance(status, EngineStatus) and isinstance(generated, EngineStatus)
    with pytest.raises(BadInput, match="no such run"):
        await client.request(Stop(id=client.next_id(), run="/r"))
    await client.send(Generate(id=client.next_id(), prompt="or"))
    while "Generated" not in seen:
        await asyncio.sleep(0.01)
    await client.close()
    await asyncio.wait_for(listening, 5)
    assert "Piece" in seen and seen.count("EngineStatus") == 2


async def test_async_waiters_hear_that_the_engine_died(path: Path) -> None:
    with FakeEngine(path, lambda request, send: engine.die()) as engine:
        client = await AsyncClient.connect(path)
        request = asyncio.create_task(client.request(Status(id=1)))
        with pytest.raises(EngineGone):
            async for response in client:
                assert not isinstance(response, Done)
        with pytest.raises(EngineGone):
            await request
