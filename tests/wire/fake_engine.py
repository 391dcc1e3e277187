"""A stand-in for the engine that speaks the protocol and computes nothing.

In a test: `with FakeEngine(path, answer) as engine`, where `answer(request, send)` plays its part.
As a program, for tests that start processes: `python fake_engine.py KEY [--slow] [--die] [--old [RUN]]`.
"""

import os
import socket
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

from loralab_core.wire.messages import (
    VERSION,
    Done,
    EngineStatus,
    Failed,
    Hello,
    Message,
    Request,
    Shutdown,
    Status,
    decode_request,
    encode,
)
from loralab_core.wire.registry import describe, hold_lock, register, socket_path, unregister

Send = Callable[[Message], None]
Answer = Callable[[Request, Send], None]


def fake_command(*flags: str) -> Callable[..., list[str]]:
    """What starts one as a process, as `ensure_engine` takes it."""
    return lambda key, *what: [sys.executable, __file__, key, *flags]


def acknowledge(request: Request, send: Send) -> None:
    send(Done(id=getattr(request, "id", 0)))


class FakeEngine:
    """Listens at `path`; every client gets a thread."""

    def __init__(
        self, path: Path, answer: Answer = acknowledge, *, version: int = VERSION, silent: bool = False
    ) -> None:
        self.path = path
        self.requests: list[Request] = []
        self.greeted: set[int] = set()  # by their file descriptors
        self._answer = answer
        self._version = version
        self._silent = silent
        self._connections: list[socket.socket] = []
        self._server = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._server.bind(str(path))
        self._server.listen()
        threading.Thread(target=self._accept, daemon=True).start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.die()

    def die(self) -> None:
        """As kill -9 would: every connection ends at once."""
        for one in (self._server, *self._connections):
            with suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
            one.close()
        self.path.unlink(missing_ok=True)

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._server.accept()
            except OSError:
                return
            self._connections.append(connection)
            if not self._silent:
                threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        def send(message: Message) -> None:
            connection.sendall(encode(message))

        number = connection.fileno()
        try:
            send(Hello(version=self._version, pid=os.getpid()))
            for line in connection.makefile("rb"):
                request = decode_request(line)
                if isinstance(request, Hello):
                    self.greeted.add(number)
                    continue
                self.requests.append(request)
                self._answer(request, send)
        except (OSError, ValueError):
            return
        finally:
            self.greeted.discard(number)


def main(key: str, *flags: str) -> None:
    if "--die" in flags:
        sys.exit("ValueError: model.safetensors is truncated")
    if hold_lock(key) is None:
        sys.exit("another engine has the lock")
    if "--slow" in flags:
        time.sleep(1)
    socket_path(key).unlink(missing_ok=True)
    register(describe(key, model="/models/m", base="fp32", device="cpu"))
    if "--old" in flags:
        FirstVersion(socket_path(key), run=flags[-1] if flags[-1] != "--old" else None)
    else:
        FakeEngine(socket_path(key))
    time.sleep(60)


class FirstVersion(FakeEngine):
    """An engine from before requests were added: its hello names no version, and it knows a few requests only."""

    def __init__(self, path: Path, run: str | None = None) -> None:
        self.run = run
        super().__init__(path, self._play, version=1)

    def _play(self, request: Request, send: Send) -> None:
        if isinstance(request, Status):
            send(
                EngineStatus(
                    id=request.id,
                    pid=os.getpid(),
                    model="/models/m",
                    base="fp32",
                    device="cpu",
                    loaded=True,
                    run=self.run,
                    clients=len(self.greeted),
                )
            )
        elif isinstance(request, Shutdown):
            send(Done(id=request.id))
            unregister(self.path.stem)
            os._exit(0)
        else:
            send(Failed(id=getattr(request, "id", 0), sentence="not understood: Invalid value", kind="bad_input"))


if __name__ == "__main__":
    main(*sys.argv[1:])
