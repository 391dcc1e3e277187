"""A stand-in for the engine that speaks the protocol and computes nothing.

In a test: `with FakeEngine(path, answer) as engine`, where `answer(request, send)` plays its part.
As a program, for tests that start processes: `python fake_engine.py KEY [--slow] [--die]`.
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

from loralab_core.wire.messages import VERSION, Done, Hello, Message, Request, decode_request, encode
from loralab_core.wire.registry import describe, hold_lock, register, socket_path

Send = Callable[[Message], None]
Answer = Callable[[Request, Send], None]


def acknowledge(request: Request, send: Send) -> None:
    send(Done(id=getattr(request, "id", 0)))


class FakeEngine:
    """Listens at `path`; every client gets a thread."""

    def __init__(
        self, path: Path, answer: Answer = acknowledge, *, version: int = VERSION, silent: bool = False
    ) -> None:
        self.path = path
        self.requests: list[Request] = []
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

        try:
            send(Hello(version=self._version, pid=os.getpid()))
            for line in connection.makefile("rb"):
                request = decode_request(line)
                if not isinstance(request, Hello):
                    self.requests.append(request)
                    self._answer(request, send)
        except (OSError, ValueError):
            return


def main(key: str, *flags: str) -> None:
    if "--die" in flags:
        sys.exit("ValueError: model.safetensors is truncated")
    if hold_lock(key) is None:
        sys.exit("another engine has the lock")
    if "--slow" in flags:
        time.sleep(1)
    socket_path(key).unlink(missing_ok=True)
    register(describe(key, model="/models/m", base="fp32", device="cpu"))
    FakeEngine(socket_path(key))
    time.sleep(60)


if __name__ == "__main__":
    main(*sys.argv[1:])
