"""The client's end of the socket: a blocking one for commands, an asyncio one for the UI.

Both check the engine's hello and turn a lost connection into one sentence that names the engine's log.
"""

import asyncio
import itertools
import os
import socket
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from types import TracebackType
from typing import Self

import msgspec

from loralab_core.errors import BadInput, LoraLabError
from loralab_core.wire.messages import (
    VERSION,
    Done,
    EngineStatus,
    Failed,
    Hello,
    Message,
    Request,
    Response,
    Started,
    decode_response,
    encode,
)
from loralab_core.wire.registry import log_of

HELLO_TIMEOUT_S = 10.0
LINE_LIMIT = 1 << 26  # bytes; an event is some hundred, an answer some thousand

Reply = Started | Done | EngineStatus


class EngineGone(LoraLabError):
    """The connection ended although the client did not want it to."""


class EngineFrozen(EngineGone):
    """A process has the socket but does not speak: stopped, or stuck."""


class Client:
    """A blocking connection. Not for use from several threads, except `send`, which is one write."""

    def __init__(self, path: Path, *, name: str = "loralab", timeout: float = HELLO_TIMEOUT_S) -> None:
        """Connect to the engine at socket `path`. EngineGone if nobody answers within `timeout` seconds."""
        self.path = path
        self._ids = itertools.count(1)
        self._rest = b""
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            self._socket.settimeout(timeout)
            self._socket.connect(str(path))
            self.send(Hello(pid=os.getpid(), name=name))
            self.engine = check_hello(self._receive(), path)
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


class AsyncClient:
    """An asyncio connection: `send` requests, iterate over the client for everything the engine says.

    `request` is for callers that want one answer; it needs somebody to iterate meanwhile. Every response is handed to
    the iterator as well. Reconnecting is the caller's: connect a new one.
    """

    def __init__(self, path: Path, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, engine: Hello) -> None:
        self.path = path
        self.engine = engine
        self._reader = reader
        self._writer = writer
        self._ids = itertools.count(1)
        self._waiting: dict[int, asyncio.Future[Reply]] = {}
        self._closed = False

    @classmethod
    async def connect(cls, path: Path, *, name: str = "loralab-tui", timeout: float = HELLO_TIMEOUT_S) -> Self:
        """EngineGone if nobody answers within `timeout` seconds."""
        writer: asyncio.StreamWriter | None = None
        try:
            async with asyncio.timeout(timeout):
                reader, writer = await asyncio.open_unix_connection(str(path), limit=LINE_LIMIT)
                writer.write(encode(Hello(pid=os.getpid(), name=name)))
                line = await reader.readline()
            engine = check_hello(understand(line, path) if line else None, path)
            return cls(path, reader, writer, engine)
        except BaseException as error:
            if writer is not None:
                writer.close()
            if isinstance(error, OSError):
                raise not_answering(path, error) from None
            raise

    def next_id(self) -> int:
        return next(self._ids)

    async def send(self, message: Request) -> None:
        try:
            self._writer.write(encode(message))
            await self._writer.drain()
        except OSError:
            raise EngineGone(ended(self.path)) from None

    async def request(self, request: Request) -> Reply:
        """The Started, Done or EngineStatus that answers `request`. Raises what a Failed answer says."""
        if isinstance(request, Hello):
            raise ValueError("a Hello has no answer")
        future: asyncio.Future[Reply] = asyncio.get_running_loop().create_future()
        self._waiting[request.id] = future
        try:
            await self.send(request)
            return await future
        finally:
            self._waiting.pop(request.id, None)

    async def __aiter__(self) -> AsyncIterator[Response]:
        """Everything the engine says, until this side closes. EngineGone if the engine ends it."""
        try:
            while line := await self._reader.readline():
                response = understand(line, self.path)
                self._settle(response)
                yield response
        except (OSError, ValueError):  # ValueError: a line beyond the limit
            pass
        gone = EngineGone(ended(self.path))
        for future in self._waiting.values():
            if not future.done():
                future.set_exception(gone)
        if not self._closed:
            raise gone

    def _settle(self, response: Response) -> None:
        future = self._waiting.get(getattr(response, "id", -1))
        if future is None or future.done():
            return
        try:
            future.set_result(expect_reply(response))
        except LoraLabError as error:
            future.set_exception(error)
        except TypeError:
            return  # pieces of an answer come before its end

    async def close(self) -> None:
        self._closed = True
        self._writer.close()
        try:
            await self._writer.wait_closed()
        except OSError:
            return


def expect_reply(response: Response) -> Reply:
    """`response` as the end of a simple request; the error it stands for if it is Failed."""
    if isinstance(response, Failed):
        raise BadInput(response.sentence) if response.kind == "bad_input" else LoraLabError(response.sentence)
    if isinstance(response, Started | Done | EngineStatus):
        return response
    raise TypeError(f"{type(response).__name__} does not answer this request")


def check_hello(message: Message | None, path: Path) -> Hello:
    if message is None:
        raise EngineGone(ended(path))
    if not isinstance(message, Hello):
        raise LoraLabError(f"{path} is not a LoRA Lab engine")
    if message.version != VERSION:
        raise LoraLabError(
            f"the running engine (pid {message.pid}) speaks version {message.version}, this program {VERSION}; "
            "stop its run with the LoRA Lab that started it, or wait until it has ended, and try again"
        )
    return message


def understand(line: bytes, path: Path) -> Response:
    try:
        return decode_response(line)
    except msgspec.DecodeError as error:
        raise LoraLabError(f"the engine at {path} said something this version does not understand: {error}") from None


def ended(path: Path) -> str:
    log = log_of(path)
    return "the engine ended" + (f"; its log: {log}" if log else "")


def not_answering(path: Path, error: OSError) -> EngineGone:
    if isinstance(error, TimeoutError):
        advice = "if it stays so, end it with `kill -9` and go on with `loralab resume last`"
        return EngineFrozen(f"the engine at {path} does not answer; {advice}")
    return EngineGone(f"no engine answers at {path} ({error.strerror or error})")
