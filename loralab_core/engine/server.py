"""The engine's socket: a thread of its own that never waits for a client, so that no client can hold up training.

Requests go into one queue for the engine's thread; answers are handed to the loop. What a client does not read is
buffered up to a limit; beyond it the client is dropped and can attach again from the events file. A run's history,
which may be longer than that, comes on top of the limit.
"""

import asyncio
import contextlib
import os
import queue
import threading
from collections.abc import Coroutine, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec

from loralab_core.errors import LoraLabError, explain_os_error
from loralab_core.wire.messages import VERSION, Failed, Hello, Message, Request, decode_request, encode

LINE_LIMIT = 1 << 24  # bytes of one request; a long conversation is some hundred thousand
UNREAD_LIMIT = 16 << 20  # bytes a client may leave unread


@dataclass(eq=False)
class Connection:
    """One client. `gone` is set when it has left; sending to it then does nothing."""

    writer: asyncio.StreamWriter
    name: str = ""
    limit: int = UNREAD_LIMIT
    gone: bool = False


@dataclass(frozen=True)
class Departed:
    """Put into the inbox when a client has left."""


@dataclass
class Server:
    path: Path
    inbox: "queue.SimpleQueue[tuple[Connection, Request | Departed]]" = field(default_factory=queue.SimpleQueue)
    clients: set[Connection] = field(default_factory=set)
    _loop: asyncio.AbstractEventLoop = field(default_factory=asyncio.new_event_loop)
    _thread: threading.Thread | None = None

    def start(self) -> None:
        """Listen; returns once clients can connect. Raises LoraLabError when the socket cannot be made."""
        self.path.unlink(missing_ok=True)  # we hold the engine's lock, so whoever left it is dead
        self._thread = threading.Thread(target=self._loop.run_forever, name="server", daemon=True)
        self._thread.start()
        try:
            self._run(self._listen())
        except OSError as error:
            raise LoraLabError(explain_os_error(error, f"listen at {self.path}")) from error

    async def _listen(self) -> None:
        before = os.umask(0o177)
        try:
            await asyncio.start_unix_server(self._serve, path=str(self.path), limit=LINE_LIMIT)
        finally:
            os.umask(before)

    def _run(self, work: Coroutine[Any, Any, None]) -> None:
        asyncio.run_coroutine_threadsafe(work, self._loop).result()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        client = Connection(writer)
        self._write(client, Hello(version=VERSION, pid=os.getpid(), name="engine"))
        try:
            while not client.gone and (line := await reader.readline()):
                self._take(client, line)
        except (ConnectionError, ValueError):  # ValueError: a line beyond the limit
            pass
        finally:
            self._drop(client)

    def _take(self, client: Connection, line: bytes) -> None:
        try:
            request = decode_request(line)
        except msgspec.DecodeError as error:
            self._write(client, Failed(id=_id_of(line), sentence=f"not understood: {error}", kind="bad_input"))
            return
        if isinstance(request, Hello):
            client.name = request.name
            self.clients.add(client)
            return
        self.inbox.put((client, request))

    def send(self, client: Connection, message: Message) -> None:
        """From any thread; never waits."""
        if not client.gone:
            self._loop.call_soon_threadsafe(self._write, client, message)

    def send_history(self, client: Connection, messages: Iterable[Message]) -> None:
        """Many messages at once, which the client may take its time to read. From any thread; never waits."""
        content = b"".join(encode(message) for message in messages)
        if content and not client.gone:
            self._loop.call_soon_threadsafe(self._write_history, client, content)

    def broadcast(self, message: Message) -> None:
        for client in tuple(self.clients):
            self.send(client, message)

    def _write(self, client: Connection, message: Message) -> None:
        if client.gone or client.writer.is_closing():
            return
        client.writer.write(encode(message))
        if client.writer.transport.get_write_buffer_size() > client.limit:
            self._drop(client)

    def _write_history(self, client: Connection, content: bytes) -> None:
        if client.gone or client.writer.is_closing():
            return
        if client.writer.transport.get_write_buffer_size() > UNREAD_LIMIT:  # asks again and again and reads nothing
            self._drop(client)
            return
        client.writer.write(content)
        client.limit = client.writer.transport.get_write_buffer_size() + UNREAD_LIMIT

    def _drop(self, client: Connection) -> None:
        if client.gone:
            return
        client.gone = True
        self.clients.discard(client)
        client.writer.transport.abort() if client.writer.transport.get_write_buffer_size() else client.writer.close()
        self.inbox.put((client, Departed()))

    def close(self) -> None:
        """Send what is buffered as far as clients read it at once, then stop."""
        if self._thread is None:
            return
        with contextlib.suppress(TimeoutError, RuntimeError):
            asyncio.run_coroutine_threadsafe(self._flush(), self._loop).result(timeout=2)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(timeout=2)
        self.path.unlink(missing_ok=True)

    async def _flush(self) -> None:
        closing = []
        for client in tuple(self.clients):
            client.writer.close()
            closing.append(asyncio.ensure_future(client.writer.wait_closed()))
        if closing:
            await asyncio.wait(closing, timeout=1)


def _id_of(line: bytes) -> int:
    """The request's id where it can be found, so that its sender knows which one failed."""
    try:
        found = msgspec.json.decode(line)
    except msgspec.DecodeError:
        return 0
    number = found.get("id") if isinstance(found, dict) else None
    return number if isinstance(number, int) else 0
