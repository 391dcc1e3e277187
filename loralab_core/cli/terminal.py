"""What commands print: results to stdout, prose to stderr; and how they notice Ctrl-C without losing a message."""

import argparse
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import msgspec

INTERRUPTED = 130


def say(sentence: str) -> None:
    """Prose for a person, on stderr."""
    print(sentence, file=sys.stderr, flush=True)


def print_json(value: Any) -> None:
    """One line on stdout, at once."""
    print(msgspec.json.encode(value).decode(), flush=True)


class Interrupts:
    """How often Ctrl-C was pressed while `counted()`; nothing is raised, so no message is read by half."""

    count = 0

    @contextmanager
    def counted(self, at_most: int | None = None) -> Iterator["Interrupts"]:
        """`at_most`: who presses oftener will not wait any longer, and KeyboardInterrupt is raised after all."""

        def note(number: int, frame: object) -> None:
            self.count += 1
            if at_most is not None and self.count > at_most:
                raise KeyboardInterrupt

        before = signal.signal(signal.SIGINT, note)
        try:
            yield self
        finally:
            signal.signal(signal.SIGINT, before)


def count(text: str) -> int:
    """The type of an option that counts something: 1, 2, 3 …"""
    try:
        value = int(text)
    except ValueError:
        value = 0
    if value < 1:
        raise argparse.ArgumentTypeError(f"{text} is not a whole number of 1 or more")
    return value


def duration(seconds: float | None) -> str:
    """`0:42`, `12:07`, `3:05:00`; a dash where it is not known."""
    if seconds is None:
        return "–"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def size(count: float | None) -> str:
    """Bytes as people read them: `512 B`, `3.4 MiB`."""
    if count is None:
        return "–"
    for unit in ("B", "KiB", "MiB", "GiB"):
        if abs(count) < 1024:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1024
    return f"{count:.1f} TiB"


def number(value: float | None, form: str = ".3f") -> str:
    """A dash for what is not known or not finite."""
    return "–" if value is None else format(value, form)
