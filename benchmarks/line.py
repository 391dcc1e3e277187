"""A pseudo-terminal with a program in it: types, answers what a terminal answers, counts what arrives."""

import fcntl
import os
import pty
import re
import select
import struct
import subprocess
import termios
import time

PATIENCE_S = 60.0
ANSWERS_TO = {  # what a terminal says when it is asked
    b"\x1b[?2026$p": b"\x1b[?2026;2$y",
    b"\x1b[?2048$p": b"\x1b[?2048;0$y",
}


class Line:
    """The terminal's end of the line: counts what arrives, answers what a terminal answers."""

    def __init__(self, command: list[str], environment: dict[str, str], size: tuple[int, int]) -> None:
        self.master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", size[1], size[0], 0, 0))
        self.process = subprocess.Popen(
            command, stdin=slave, stdout=slave, stderr=slave, env=environment, start_new_session=True
        )
        os.close(slave)
        self.seen = bytearray()
        self._answered = 0

    def read(self, seconds: float) -> bytes:
        """What arrives within that time, at most one piece."""
        if not select.select([self.master], [], [], max(0.0, seconds))[0]:
            return b""
        piece = os.read(self.master, 1 << 16)
        self.seen += piece
        self._answer()
        return piece

    def _answer(self) -> None:
        for question, answer in ANSWERS_TO.items():
            if question in self.seen[self._answered :]:
                self.type(answer)
        self._answered = max(0, len(self.seen) - 8)

    def type(self, keys: bytes) -> None:
        os.write(self.master, keys)

    def for_seconds(self, seconds: float) -> int:
        """Read for so long; the number of bytes that came."""
        end, before = time.perf_counter() + seconds, len(self.seen)
        while (left := end - time.perf_counter()) > 0:
            self.read(left)
        return len(self.seen) - before

    def until(self, wanted: bytes, since: int = 0) -> float:
        """Seconds until `wanted` stands in what came after position `since`."""
        began = time.perf_counter()
        while wanted not in text_of(bytes(self.seen[since:])):
            left = PATIENCE_S - (time.perf_counter() - began)
            if left <= 0 or self.process.poll() is not None:
                raise SystemExit(f"{wanted!r} never came; the screen's last words: {bytes(self.seen[-600:])!r}")
            self.read(left)
        return time.perf_counter() - began


def text_of(written: bytes) -> bytes:
    """Without the sequences that move and colour."""
    return re.sub(rb"\x1b\[[0-9;?<>=]*[a-zA-Z$]+|\x1b\][^\a\x1b]*(\a|\x1b\\)", b"", written)
