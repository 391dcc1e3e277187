"""`events.jsonl`: everything that happened in a run, one JSON object a line, appended and never rewritten.

The writer must never hurt training: what the disk refuses waits in memory and goes with the next append.
Readers trust nothing: a torn or damaged line is left out.
"""

import os
import time
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec

from loralab_core.errors import explain_os_error

Event = dict[str, Any]

VOIDED_BY_RESUME = frozenset({"step", "eval", "checkpoint", "sample"})
FINAL = frozenset({"done", "stopped", "failed"})
_NUMBERS = {"step": ("step", "time"), "eval": ("step",), "checkpoint": ("step",), "sample": ("step", "index")}
_BLOCK = 1 << 16
_PIECE = 1 << 20


class EventLog:
    """The one writer of a run's events. Opening cuts off a torn last line and continues its numbering."""

    def __init__(self, path: Path) -> None:
        """Raises OSError if the file cannot be opened for writing."""
        self.trouble = ""  # why the newest events are not on disk yet, as a sentence; empty when all are
        self._path = path
        self._pending = b""
        self._handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        self._end, self.seq = _last_complete(self._handle)
        os.ftruncate(self._handle, self._end)

    def append(self, event: Event) -> Event:
        """Number, date and write `event`; returns it as it stands in the file. Never raises OSError."""
        self.seq += 1
        logged = {"event": event["event"], "seq": self.seq, "time": time.time()}
        logged |= {key: value for key, value in event.items() if key not in logged}
        line = msgspec.json.encode(logged) + b"\n"  # NaN and infinities become null
        self._pending += line
        self.flush()
        decoded: Event = msgspec.json.decode(line)
        return decoded

    def flush(self) -> bool:
        """Write what waits; returns whether nothing waits any more."""
        if not self._pending:
            return True
        try:
            written = os.pwrite(self._handle, self._pending, self._end)
            if written < len(self._pending):
                os.ftruncate(self._handle, self._end)  # a part of a line helps nobody
                raise OSError(28, "No space left on device")
        except OSError as error:
            self._cut_back()
            self.trouble = explain_os_error(error, f"write {self._path}") + "; events are kept in memory until it can"
            return False
        self._end += written
        self._pending = b""
        self.trouble = ""
        return True

    def unwritten(self) -> list[Event]:
        """What the disk has refused so far: the part of the history that readers of the file cannot see yet."""
        return _decode(self._pending.splitlines())

    def sync(self) -> None:
        """Make what is written survive a power cut. Never raises OSError."""
        try:
            os.fsync(self._handle)
        except OSError as error:
            self.trouble = explain_os_error(error, f"sync {self._path}")

    def close(self) -> None:
        self.flush()
        os.close(self._handle)

    def _cut_back(self) -> None:
        with suppress(OSError):  # the next write begins at the same place, and readers ignore a torn line
            os.ftruncate(self._handle, self._end)


class EventReader:
    """Reads a growing events file piece by piece, as `tail -f` does."""

    def __init__(self, path: Path, since_seq: int = 0) -> None:
        self._path = path
        self._since = since_seq
        self._offset = 0

    def poll(self) -> list[Event]:
        """Complete events that came since the last call; empty if none, or if there is no file yet."""
        return [event for piece in self.pieces() for event in piece]

    def pieces(self) -> Iterator[list[Event]]:
        """As `poll`, a part of the file at a time: a long history is never in memory as a whole."""
        try:
            with open(self._path, "rb") as file:
                file.seek(self._offset)
                rest = b""
                while content := file.read(_PIECE):
                    complete, newline, rest = (rest + content).rpartition(b"\n")
                    self._offset += len(complete) + len(newline)
                    yield [event for event in _decode(complete.splitlines()) if event["seq"] > self._since]
        except FileNotFoundError:
            return


def read(path: Path, since_seq: int = 0) -> list[Event]:
    """All complete events with `seq` above `since_seq`; empty if the file does not exist."""
    return EventReader(path, since_seq).poll()


def live(events: Iterable[Event]) -> list[Event]:
    """The history that counts: `resumed{step: k}` voids what happened above step k before it."""
    kept: list[Event] = []
    for event in events:
        if event["event"] == "resumed":
            step = event.get("step", 0)
            kept = [old for old in kept if old["event"] not in VOIDED_BY_RESUME or old.get("step", 0) <= step]
        kept.append(event)
    return kept


def _decode(lines: Iterable[bytes]) -> list[Event]:
    found = []
    for line in lines:
        try:
            event = msgspec.json.decode(line)
        except msgspec.DecodeError:
            continue
        if _is_event(event):
            found.append(event)
    return found


def _is_event(line: Any) -> bool:
    """Whether it says what readers rely on: any JSON may stand in a file."""
    if not isinstance(line, dict) or not isinstance(line.get("seq"), int) or not isinstance(line.get("event"), str):
        return False
    return all(isinstance(line.get(field), int | float) for field in _NUMBERS.get(line["event"], ()))


def _last_complete(handle: int) -> tuple[int, int]:
    """(offset after the last complete line, seq of the last readable event); reads backwards from the end."""
    size = os.fstat(handle).st_size
    start, tail, end = size, b"", -1
    while start > 0:
        length = min(_BLOCK, start)
        start -= length
        tail = os.pread(handle, length, start) + tail
        if end < 0 and (newline := tail.rfind(b"\n")) >= 0:
            end = start + newline + 1
        # the first line of `tail` may be cut unless the file begins there
        whole = tail if start == 0 else tail.partition(b"\n")[2]
        if end >= 0 and (found := _decode(whole[: max(0, end - start)].splitlines())):
            return end, found[-1]["seq"]
    return max(end, 0), 0
