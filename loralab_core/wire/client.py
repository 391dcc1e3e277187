"""A blocking connection to the engine, for commands. `AsyncClient` is the UI's."""

import itertools
import os
import socket
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Self

from loralab_core.wire.async_client import AsyncClient
from loralab_core.wire.greeting import (
    HELLO_TIMEOUT_S,
    LINE_LIMIT,
    EngineFrozen,
    EngineGone,
    Reply,
    check_hello,
    ended,
    expect_reply,
    not_answering,
    understand,
)
from loralab_core.wire.messages import VERSION, Hello, Request, Response, encode

__all__ = ["AsyncClient", "Client", "EngineFrozen", "EngineGone"]


class Client:
    """A blocking connection. Not for use from several threads, except `send`, which is one write."""

    def __init__(
        self, path: Path, *, name: str = "loralab", timeout: float = HELLO_TIMEOUT_S, any_version: bool = False
    ) -> None:
        """Connect to the engine at socket `path`. EngineGone if nobody answers within `timeout` seconds.

        OtherVersion if its words are not ours, unless `any_version`: a visit that greets nobody and is not counted.
        """
        self.path = path
        self._ids = itertools.count(1)
        self._rest = b""
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            self._socket.settimeout(timeout)
            self._socket.connect(str(path))
            if not any_version:
                self.send(Hello(version=VERSION, pid=os.getpid(), name=name))
            self.engine = check_hello(self._receive(), path, any_version)
            self._socket.settimeout(None)
        except BaseException as error:
            self._socket.close()
            if isinstance(error, OSError):
                raise not_answering(path, error) from None
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        self._socket.close()

    def next_id(self) -> int:
        return next(self._ids)

    def send(self, message: Request) -> None:
        try:
            self._socket.sendall(encode(message))
        except TimeoutError:
            raise
        except OSError:
            raise EngineGone(ended(self.path)) from None

    def responses(self) -> Iterator[Response]:
        """Everything the engine says, until this side closes. EngineGone if the engine ends it."""
        while True:
            yield self._receive()

    def receive(self, timeout: float | None = None) -> Response | None:
        """The next message, or None when `timeout` seconds pass without one."""
        self._socket.settimeout(timeout)
        try:
            return self._receive()
        except TimeoutError:
            return None
        finally:
            self._socket.settimeout(None)

    def ask(self, request: Request) -> Reply:
        """Send and wait for the answer to this request, ignoring all else. Raises what a Failed answer says."""
        self.send(request)
        return self.wait_for(request.id if not isinstance(request, Hello) else 0)

    def wait_for(self, id: int) -> Reply:
        for response in self.responses():
            if getattr(response, "id", None) == id:
                return expect_reply(response)
        raise EngineGone(ended(self.path))

    def _receive(self) -> Response:
        while b"\n" not in self._rest:
            try:
                received = self._socket.recv(1 << 16)
            except TimeoutError:
                raise
            except OSError:
                received = b""
            if not received or len(self._rest) > LINE_LIMIT:
                raise EngineGone(ended(self.path))
            self._rest += received
        line, _, self._rest = self._rest.partition(b"\n")
        return understand(line, self.path)
