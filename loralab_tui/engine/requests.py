"""What can be asked of the engine one is connected to. Requests raise LoraLabError with a sentence for the user."""

from typing import Any

from loralab_core.errors import LoraLabError
from loralab_core.wire import messages as wire
from loralab_core.wire.async_client import AsyncClient
from loralab_tui.config import keymap
from loralab_tui.engine.bunches import Bunches


class EngineRequests:
    """The connection and its upkeep are EngineLink's."""

    _client: AsyncClient | None
    _bunches: Bunches
    _answers: set[int]  # requests whose answers are awaited

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

    async def change(self, run: str, steps: int) -> None:
        """Train it for `steps` in all, from its next step on."""
        await self._request(wire.Change(id=self._id(), run=run, steps=steps))

    async def stop(self, run: str) -> None:
        """Returns when the checkpoint is written and the run has ended."""
        await self._request(wire.Stop(id=self._id(), run=run))

    async def peek(self, run: str) -> wire.Batch:
        """The batch trained last."""
        reply = await self._request(wire.Peek(id=self._id(), run=run))
        assert isinstance(reply, wire.Batch)
        return reply

    def new_request(self) -> int:
        """A number for `ask`, known before anything is sent, so that no answer can come too early."""
        request = self._id()
        self._answers.add(request)
        return request

    async def ask(self, question: wire.Generate) -> None:
        """Ask for an answer, under a number of `new_request`; its Answer… messages carry it."""
        await self._connected.send(question)

    async def cancel(self, request: int) -> None:
        """Unless it was answered, or asked of an engine that was left: the next one counts from 1 again."""
        if request in self._answers:
            await self._connected.send(wire.Cancel(id=self._id(), target=request))

    @property
    def _connected(self) -> AsyncClient:
        if self._client is None:
            raise LoraLabError(
                f"no engine is running for this model; {keymap.name('model')} starts one, and {keymap.name('train')} "
                "does as it trains"
            )
        return self._client

    def _id(self) -> int:
        return self._connected.next_id()

    async def _request(self, request: wire.Request) -> wire.Message:
        return await self._connected.request(request)

    async def _started(self, request: wire.Request) -> str:
        reply = await self._request(request)
        assert isinstance(reply, wire.Started)
        return reply.run
