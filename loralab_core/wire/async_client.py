"""An asyncio connection to the engine, for the UI."""

import asyncio
import itertools
import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Self

from loralab_core.errors import LoraLabError
from loralab_core.wire.greeting import (
    HELLO_TIMEOUT_S,
    LINE_LIMIT,
    EngineGone,
    Reply,
    check_hello,
    ended,
    expect_reply,
    not_answering,
    understand,
)
from loralab_core.wire.messages import VERSION, Hello, Request, Response, encode


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
                writer.write(encode(Hello(version=VERSION, pid=os.getpid(), name=name)))
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
        """The Started, Done, EngineStatus or Batch that answers `request`. Raises what a Failed answer says."""
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
