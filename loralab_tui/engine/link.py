"""The screen's only door to an engine: requests go in as coroutines, everything it says comes out as messages.

Nothing here blocks the event loop; a frozen engine leaves callers waiting and is reported as silent.
"""

import asyncio
import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path

from textual.message import Message

from loralab_core.errors import LoraLabError
from loralab_core.wire import messages as wire
from loralab_core.wire.async_client import AsyncClient
from loralab_core.wire.greeting import EngineGone
from loralab_tui.data.model_names import model_name
from loralab_tui.engine import events as say
from loralab_tui.engine import oom
from loralab_tui.engine.abandonable import in_thread
from loralab_tui.engine.bunches import Bunches
from loralab_tui.engine.requests import EngineRequests

OpenEngine = Callable[[str, str, str, Callable[[int, int, str], None], str], Path]
"""(model, base, device, progress, run or "") → socket of an engine that listens. Blocks; raises LoraLabError."""

ASK_STATUS_S = 2.0
SILENT_AFTER_S = 10.0
CLOSE_S = 1.0


class GivenUp(LoraLabError):
    """The user did not want to wait any longer; nothing went wrong."""


def _heard(path: asyncio.Future[Path]) -> None:
    """Nobody waits for this any more: how it ends is no news."""
    if not path.cancelled():
        path.exception()


class EngineLink(EngineRequests):
    """At most one connection at a time. Requests raise LoraLabError with a sentence for the user."""

    def __init__(
        self, post: Callable[[Message], object], open_engine: OpenEngine, silent_after: float = SILENT_AFTER_S
    ) -> None:
        self._post = post
        self._open = open_engine
        self._client: AsyncClient | None = None
        self._tasks: list[asyncio.Task[None]] = []
        self._answers: set[int] = set()
        self._load: int | None = None  # the request to read the model, until it is answered
        self._bunches = Bunches(lambda run, events: post(say.RunEvents(run, events)))
        self._heard = time.monotonic()
        self._silent = False
        self._silent_after = silent_after
        self._kills = 0  # of any process, by the system, for want of memory, as counted when we connected
        self._opening: asyncio.Future[None] | None = None  # the one under way, done when it is given up
        self._door = asyncio.Lock()  # two that connect at once would leave a connection that nobody closes

    @property
    def connected(self) -> bool:
        return self._client is not None

    @property
    def opening(self) -> bool:
        return self._opening is not None

    async def open(self, model: str, base: str, device: str, run: str = "") -> wire.EngineStatus:
        """Start an engine or find the running one, that of `run` where given; connect, and ask how it stands."""
        async with self._door:
            await self.close()
            self._post(say.EngineOpening(f"starting the engine for {model_name(model)}"))
            self._opening = opening = asyncio.get_running_loop().create_future()
            progress = partial(self._progress, opening)
            path = in_thread(partial(self._open, model, base, device, progress, run))
            try:
                await asyncio.wait((path, opening), return_when=asyncio.FIRST_COMPLETED)
            finally:
                self._opening = None
                path.add_done_callback(_heard)
            if opening.done():
                raise GivenUp("opening the model was given up")
            return await self._connect(path.result())

    def give_up(self) -> None:
        """Wait no longer for the engine that is being opened; a download ends, what came of it is kept."""
        if self._opening is not None and not self._opening.done():
            self._opening.set_result(None)

    def _progress(self, opening: asyncio.Future[None], done: int, total: int, what: str) -> None:
        """Called from the opening thread, which ends here when nobody waits for it."""
        if opening is not self._opening or opening.done():
            raise GivenUp("opening the model was given up")
        if what:
            self._post(say.EngineLoading(done, total, what))

    async def connect(self, path: Path) -> wire.EngineStatus:
        """Connect to the engine that listens at `path`."""
        async with self._door:
            await self.close()
            return await self._connect(path)

    async def _connect(self, path: Path) -> wire.EngineStatus:
        client = await AsyncClient.connect(path)
        self._client = client
        self._kills = oom.kills()
        self._heard = time.monotonic()
        self._tasks = [asyncio.create_task(self._listen(client)), asyncio.create_task(self._watch(client))]
        status = await client.request(wire.Status(id=client.next_id()))
        assert isinstance(status, wire.EngineStatus)
        self._post(say.EngineReady(status))
        await self._read_model(client, status)
        return status

    async def _read_model(self, client: AsyncClient, status: wire.EngineStatus) -> None:
        """Now, so that the first question need not wait for it."""
        self._load = None if status.loaded else client.next_id()
        if self._load is not None:
            await client.send(wire.Load(id=self._load))

    async def cancel_load(self) -> None:
        """Abandon reading the model, if it is being read: ModelNotRead follows. A question or a run begins it again."""
        if self._load is not None:
            await self._connected.send(wire.Cancel(id=self._id(), target=self._load))

    async def close(self) -> None:
        """Leave the engine; what it does goes on. Who waits for an answer of it is told that none will come."""
        client, self._client = self._client, None
        tasks, self._tasks = self._tasks, []
        answers, self._answers = self._answers, set()
        self._load = None
        if client is not None:
            with suppress(TimeoutError):  # a frozen engine takes no more of what was sent
                await asyncio.wait_for(client.close(), CLOSE_S)
            await asyncio.wait(tasks[:1], timeout=CLOSE_S)  # listening ends by itself and tells those who wait
        for task in tasks:
            task.cancel()
        self._bunches.flush()
        for request in answers:
            self._post(say.AnswerFailed(request, "another engine was opened before the answer came"))
        if self._silent:
            self._silent = False
            self._post(say.EngineSilent(0))

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
            killed = f"; {oom.SENTENCE}" if oom.kills() > self._kills else ""
            self._post(say.EngineLost(f"{sentence}{killed}"))

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
        told = self._failed(response) if isinstance(response, wire.Failed) else say.told_by(response)
        if isinstance(response, wire.EngineStatus | wire.Failed) and response.id == self._load:
            self._load = None
        if isinstance(response, wire.Generated | wire.Failed):
            self._answers.discard(response.id)
        if told is not None:
            self._post(told)

    def _failed(self, response: wire.Failed) -> Message | None:
        """Other requests than these are awaited where they were made, and fail there."""
        if response.id == self._load:
            return say.ModelNotRead(response.sentence)
        return say.AnswerFailed(response.id, response.sentence) if response.id in self._answers else None
