"""A scripted engine for tests of widgets: speaks the wire over a Unix socket, computes nothing.

It answers the protocol's requests in the simplest true way; a test pushes events, pieces and trouble by hand.
"""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

from loralab_core.runs.config import TrainConfig
from loralab_core.runs.directory import RunDirectory, create_run
from loralab_core.runs.events import EventLog, read
from loralab_core.wire import messages as wire

LONGEST_LINE = 1 << 24


class FakeEngine:
    """One client at a time. `asked` is every request in order; `frozen` keeps it from answering."""

    def __init__(self, socket: Path) -> None:
        self.socket = socket
        self.asked: list[wire.Request] = []
        self.frozen = False
        self.loaded = True  # if not, reading the model takes until a test says more
        self.chat_template = "own"
        self.context = 0
        self.run: str | None = None
        self.run_dir: str | None = None  # where a new run goes; None: where runs go
        self.logs: dict[str, EventLog] = {}
        self._writer: asyncio.StreamWriter | None = None
        self._server: asyncio.Server | None = None
        self._replies: dict[type, Callable[[Any], None]] = {
            wire.Status: self._status,
            wire.Train: self._train,
            wire.Resume: self._resume,
            wire.Attach: self._attach,
            wire.Stop: self._stop,
            wire.Pause: lambda request: self.send(wire.Done(id=request.id)),
            wire.Cancel: self._cancel,
            wire.Load: lambda request: self._status(request) if self.loaded else None,
            wire.Change: lambda request: self.send(wire.Done(id=request.id)),
            wire.Peek: self._peek,
        }

    async def __aenter__(self) -> "FakeEngine":
        self._server = await asyncio.start_unix_server(self._serve, str(self.socket), limit=LONGEST_LINE)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.die()

    async def die(self) -> None:
        """As after kill -9: the connection ends, nothing more is written."""
        if self._server is not None:
            self._server.close()
            self._server = None
        if self._writer is not None:
            self._writer.close()
            self._writer = None
        self.socket.unlink(missing_ok=True)

    def open(self, model: str, base: str, device: str, progress: object, run: str = "") -> Path:
        """In place of starting a real one."""
        return self.socket

    def send(self, message: wire.Message) -> None:
        assert self._writer is not None, "no client is connected"
        self._writer.write(wire.encode(message))

    def event(self, **event: Any) -> None:
        """Write an event of the present run and send it to the client, as an engine does."""
        assert self.run is not None
        logged = self.logs[self.run].append(event)
        self.send(wire.RunEvent(run=self.run, event=logged))

    def steps(self, first: int, last: int, total: int = 100, loss: Callable[[int], float | None] | None = None) -> None:
        for step in range(first, last + 1):
            value = (loss or falling)(step)
            self.event(**step_event(step, total, value))

    def last(self, kind: type[wire.Request]) -> Any:
        """The newest request of a kind."""
        return next(request for request in reversed(self.asked) if isinstance(request, kind))

    def begin_run(self, directory: RunDirectory) -> None:
        self.run = str(directory.path)
        self.logs[self.run] = EventLog(directory.events_path)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writer = writer
        while line := await reader.readline():
            request = wire.decode_request(line)
            if isinstance(request, wire.Hello):
                self.send(wire.Hello(version=wire.VERSION, pid=1, name="fake"))
                continue
            self.asked.append(request)
            if not self.frozen and type(request) in self._replies:
                self._replies[type(request)](request)

    def _status(self, request: wire.Status | wire.Load) -> None:
        status = wire.EngineStatus(
            id=request.id, pid=1, model="m", base="fp32", device="cpu", loaded=self.loaded, run=self.run, clients=1
        )
        status.context = self.context
        status.chat_template = "own" if self.chat_template == "own" else "plain"
        self.send(status)

    def _train(self, request: wire.Train) -> None:
        asked = {**request.config, "corpus": tuple(request.config["corpus"]), "run_dir": self.run_dir}
        directory = create_run(TrainConfig(**asked), request.asked)
        self.begin_run(directory)
        self.send(wire.Started(id=request.id, run=str(directory.path), pid=1))
        self.event(event="prepared", step=0, steps=100, corpus="plain text, 1 document")

    def _resume(self, request: wire.Resume) -> None:
        if request.run not in self.logs:
            self.begin_run(RunDirectory(Path(request.run)))
        self.run = request.run
        self.send(wire.Started(id=request.id, run=request.run, pid=1))

    def _attach(self, request: wire.Attach) -> None:
        for event in read(RunDirectory(Path(request.run)).events_path, request.since_seq):
            self.send(wire.RunEvent(run=request.run, event=event))
        self.send(wire.Done(id=request.id))

    def _stop(self, request: wire.Stop) -> None:
        self.event(event="stopped", run=request.run, adapter=None, steps=1, tokens=1, seconds=1.0)
        self.run = None
        self.send(wire.Done(id=request.id))

    def _cancel(self, request: wire.Cancel) -> None:
        self.send(wire.Generated(id=request.target, text="cut", finish="cancelled"))

    def _peek(self, request: wire.Peek) -> None:
        self.send(wire.Batch(id=request.id, step=1, rows=[[("What is it?", False), ("A cat.", True)]]))


def falling(step: float) -> float:
    return 2.5 + 3.0 / (1 + step / 10)


def step_event(step: int, total: int, loss: float | None) -> dict[str, Any]:
    return {
        "event": "step",
        "step": step,
        "loss": loss,
        "tokens": 4096 * step,
        "tokens_per_s": 1702.0,
        "lr": 1.7e-4,
        "eta_s": float(total - step),
        "memory_bytes": 1_700_000_000,
        "grad_norm": 0.83,
        "fill": 0.986,
    }
