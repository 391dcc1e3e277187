"""How far a download is, added up over its threads, and its end, which cuts their lines."""

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

from loralab_core.errors import LoraLabError

Progress = Callable[[int, int, str], None]  # bytes done, bytes in all, what; raises where nobody waits any more

SILENT_S = 5  # without a byte, after which one is told what is waited for
HUB = "the Hub"


class Meter:
    """The threads call `add`, `pause` and `line`; who waits for them calls `tell` now and then, and `stop`."""

    def __init__(self, id: str, done: int, total: int, progress: Progress) -> None:
        self.id, self.done, self.total, self._progress = id, done, total, progress
        self._waits_for, self._heard = HUB, time.monotonic()
        self._lock, self._stopped = threading.Lock(), threading.Event()
        self._lines: set[socket.socket] = set()
        self.tell()

    def tell(self) -> None:
        """Report; raises what `progress` raises."""
        silent = time.monotonic() - self._heard > SILENT_S
        what = f"waiting for {self._waits_for}: {self.id}" if silent else f"downloading {self.id}"
        self._progress(self.done, self.total, what)

    def add(self, count: int) -> None:
        self.check()
        with self._lock:
            self.done += count
            self._heard, self._waits_for = time.monotonic(), HUB

    def check(self) -> None:
        if self._stopped.is_set():
            raise LoraLabError("the download was stopped; what has arrived is kept")

    def pause(self, seconds: float, waits_for: str = HUB) -> None:
        self._waits_for = waits_for
        self._stopped.wait(seconds)
        self.check()

    @contextmanager
    def line(self, response: Any) -> Iterator[None]:
        """While its bytes are read. `stop` cuts it: a thread that waits for a silent Hub would not notice else."""
        stream = response.extensions.get("network_stream")
        line = stream.get_extra_info("socket") if stream is not None else None
        with self._lock:
            self._lines |= {line} if line is not None else set()
        try:
            self.check()
            yield
        finally:
            with self._lock:
                self._lines.discard(line)

    def stop(self) -> None:
        self._stopped.set()
        with self._lock:
            for line in self._lines:
                with suppress(OSError):
                    line.shutdown(socket.SHUT_RDWR)
