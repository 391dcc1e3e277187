"""The screen's only door to an engine: requests go in as coroutines, everything it says comes out as messages.

Nothing here blocks the event loop; a frozen engine leaves callers waiting and is reported as silent.
"""

import asyncio
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from textual.message import Message

from loralab_core.errors import LoraLabError
from loralab_core.wire import messages as wire
from loralab_core.wire.async_client import AsyncClient
from loralab_core.wire.greeting import EngineGone
from loralab_tui import engine_events as say
from loralab_tui.bunches import Bunches

OpenEngine = Callable[[str, str, str, Callable[[int, int, str], None]], Path]
"""(model, base, device, progress) → socket of an engine that listens. Blocks; raises LoraLabError."""

# Greedy text of a small model runs in circles; a fixed seed still gives the same answer to the same question.
SAMPLING = wire.Sampling(temperature=0.7, top_p=0.95)
ASK_STATUS_S = 2.0
SILENT_AFTER_S = 10.0
CLOSE_S = 1.0


class EngineLink:
    """At most one connection at a time. Requests raise LoraLabError with a sentence for the user."""

    def __init__(
        self, post: Callable[[Message], object], open_engine: OpenEngine, silent_after: float = SILENT_AFTER_S
    ) -> None:
        self._post = post
        self._open = open_engine
        self._client: AsyncClient | None = None
        self._tasks: list[asyncio.Task[None]] = []
        self._answers: set[int] = set()
        self._bunches = Bunches(lambda run, events: post(say.RunEvents(run, events)))
        self._heard = time.monotonic()
        self._silent = False
        self._silent_after = silent_after

    @property
    def connected(self) -> bool:
        return self._client is not None

    async def open(self, model: str, base: str, device: str) -> wire.EngineStatus:
        """Start an engine or find the running one, connect, and ask how it stands."""
        await self.close()
        self._post(say.EngineOpening(f"starting the engine for {Path(model).name}"))
        path = await asyncio.to_thread(self._open, model, base, device, self._progress)
        return await self.connect(path)

    def _progress(self, done: int, total: int, what: str) -> None:
        """Called from the opening thread; posting is safe from there."""
        self._post(say.EngineLoading(done, total, what))

    async def connect(self, path: Path) -> wire.EngineStatus:
        """Connect to the engine that listens at `path`."""
        await self.close()
        client = await AsyncClient.connect(path)
        self._client = client
        self._heard = time.monotonic()
        self._tasks = [asyncio.create_task(self._listen(client)), asyncio.create_task(self._watch(client))]
        status = await client.request(wire.Status(id=client.next_id()))
        assert isinstance(status, wire.EngineStatus)
        self._post(say.EngineReady(status))
        return status

    async def close(self) -> None:
        """Leave the engine; what it does goes on."""
        client, self._client = self._client, None
        tasks, self._tasks = self._tasks, []
        self._answers.clear()
        if client is not None:
            await client.close()
            await asyncio.wait(tasks[:1], timeout=CLOSE_S)  # listening ends by itself and tells those who wait
        for task in tasks:
            task.cancel()
        self._bunches.flush()

    async def train(self, config: dict[str, Any], asked: dict[str, Any]) -> str:
        """Start a run; its events follow. Returns its directory."""
        return await self._started(wire.Train(id=self._id(), config=config, asked=asked))

    async def resume(self, run: str, steps: int | None = None) -> str:
        return await self._started(wire.Resume(id=self._id(), run=run, steps=steps))

    async def attach(self, run: str, since_seq: int = 0) -> None:
        """Returns when the backlog has been handed out."""
        await self._request(wire.Attach(id=self._id(), run=run, since_seq=since_seq))
        self._bunches.flush()

    async def pause(self, run: str, paused: bool) -> None:
        await self._request(wire.Pause(id=self._id(), run=run, paused=paused))

    async def stop(self, run: str) -> None:
        """Returns when the checkpoint is written and the run has ended."""
        await self._request(wire.Stop(id=self._id(), run=run))

    def new_request(self) -> int:
        """A number for `ask`, known before anything is sent, so that no answer can come too early."""
        return self._id()

    async def ask(
        self, request: int, speaker: str, run: str | None, messages: list[dict[str, Any]] | None, prompt: str | None
    ) -> None:
        """Ask for an answer; its Answer… messages carry `request`."""
        self._answers.add(request)
        await self._connected.send(
            wire.Generate(id=request, speaker=speaker, run=run, messages=messages, prompt=prompt, sampling=SAMPLING)
        )

    async def cancel(self, request: int) -> None:
        await self._connected.send(wire.Cancel(id=self._id(), target=request))

    @property
    def _connected(self) -> AsyncClient:
        if self._client is None:
            raise LoraLabError("no engine is running for this model; F6 chooses the model and starts one")
        return self._client

    def _id(self) -> int:
        return self._connected.next_id()

    async def _request(self, request: wire.Request) -> wire.Message:
        return await self._connected.request(request)

    async def _started(self, request: wire.Request) -> str:
        reply = await self._request(request)
        assert isinstance(reply, wire.Started)
        return reply.run

    async def _listen(self, client: AsyncClient) -> None:
        try:
            async for response in client:
                self._heard = time.monotonic()
                self._deliver(response)
        except LoraLabError as error:
            self._lost(client, str(error))
        except asyncio.CancelledError:
            raise
        else:
            self._lost(client, "the connection to the engine ended")

    def _lost(self, client: AsyncClient, sentence: str) -> None:
        if self._client is client:
            self._client = None
            self._answers.clear()
            self._bunches.flush()
            self._post(say.EngineLost(sentence))

    async def _watch(self, client: AsyncClient) -> None:
        """Ask for the status now and then: it carries the memory in use, and silence means trouble."""
        with suppress(EngineGone):
            while True:
                await asyncio.sleep(min(ASK_STATUS_S, self._silent_after))
                quiet = time.monotonic() - self._heard
                if quiet > self._silent_after or self._silent:
                    self._silent = quiet > self._silent_after
                    self._post(say.EngineSilent(int(quiet) if self._silent else 0))
                if not self._silent:
                    await client.send(wire.Status(id=client.next_id()))

    def _deliver(self, response: wire.Response) -> None:
        if isinstance(response, wire.RunEvent):
            self._bunches.add(response.run, response.event)
            return
        self._bunches.flush()
        match response:
            case wire.Loading(done=done, total=total, what=what):
                self._post(say.EngineLoading(done, total, what))
            case wire.Started(run=run):
                self._post(say.RunStarted(run))
            case wire.EngineStatus():
                self._post(say.EngineReport(response))
            case wire.GenerationStarted(id=id, step=step):
                self._post(say.AnswerBegun(id, step))
            case wire.Piece(id=id, text=text):
                self._post(say.AnswerPiece(id, text))
            case wire.Generated(id=id):
                self._answers.discard(id)
                self._post(say.AnswerDone(id, response))
            case wire.Failed(id=id, sentence=sentence) if id in self._answers:
                self._answers.discard(id)
                self._post(say.AnswerFailed(id, sentence))
