"""What the screen costs while the engine trains and an answer streams: stalls, key to echo, bytes on the line.

    python benchmarks/screen.py --model DIR --corpus FILE [--size 120x40] [--seconds 30] [--keys 60] [--ssh]

Runs `loralab-tui` in a pseudo-terminal of its own below a temporary LORALAB_HOME, starts a run with F2, keeps an
answer streaming, and types into the prompt meanwhile. Then the run is stopped, and ten quiet seconds are counted.
Not a test: nothing fails here.
"""

import argparse
import os
import re
import signal
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from line import PATIENCE_S, Line
from report import command_line, machine, publish

FRAME_BEGINS = b"\x1b[?2026h"  # synchronised output: Textual puts each frame between these two
FRAME_ENDS = b"\x1b[?2026l"


def main() -> None:
    parser = command_line(__doc__)
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--corpus", type=Path, required=True)
    parser.add_argument("--size", default="120x40", help="at least 100 columns: both halves are watched")
    parser.add_argument("--seconds", type=float, default=30.0)
    parser.add_argument("--keys", type=int, default=60)
    parser.add_argument("--ssh", action="store_true", help="as over a slow line: SSH_CONNECTION is set")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as home:
        report = measure(arguments, Path(home))
    publish(report, arguments.out)


def measure(arguments: argparse.Namespace, home: Path) -> dict[str, object]:
    stalls, size = home / "stalls", tuple(int(part) for part in arguments.size.split("x"))
    environment = {name: value for name, value in os.environ.items() if name not in ("TMUX", "NO_COLOR")}
    environment.pop("SSH_CONNECTION", None)
    environment |= {"LORALAB_HOME": str(home), "LORALAB_MEASURE_STALLS": str(stalls), "TERM": "xterm-256color"}
    environment |= {"COLORTERM": "truecolor", "COLUMNS": str(size[0]), "LINES": str(size[1])}
    if arguments.ssh:
        environment["SSH_CONNECTION"] = "192.0.2.1 50000 192.0.2.2 22"
    command = [sys.executable, "-m", "loralab_tui", "--model", str(arguments.model.resolve())]
    line = Line([*command, "--corpus", str(arguments.corpus.resolve())], environment, (size[0], size[1]))
    try:
        figures = drive(line, arguments)
    finally:
        end(line, home)
    seconds = {"stall_s": spread(stalls, *figures.pop("busy")), "stall_from_start_to_end_s": spread(stalls)}
    return {"machine": machine(), "size": arguments.size, "ssh": arguments.ssh, **seconds, **figures}


def drive(line: Line, arguments: argparse.Namespace) -> dict[str, Any]:
    line.until(b"Ready")
    line.until(b" GB")  # the footer's meter: everything is on the screen
    line.type(b"\x1bOQ")  # F2
    line.until(b"left")
    line.for_seconds(2)
    began, at = time.perf_counter(), len(line.seen)
    echoes = []
    for number in range(arguments.keys):
        if number % 10 == 0:
            line.type(b"\rOnce upon a time\r")  # sends what stood in the prompt, then a question with a long answer
            line.for_seconds(1)
        echoes.append(echo(line, "QXJZ"[number % 4]))
        line.for_seconds(max(0.0, arguments.seconds / arguments.keys - echoes[-1]))
    busy = frames(bytes(line.seen[at:]))
    seconds = time.perf_counter() - began
    return {
        "busy": (began, began + seconds),
        "busy_s": seconds,
        "key_to_echo_s": summary(echoes),
        "frame_bytes": {"mean": statistics.mean(busy), "max": max(busy), "frames_per_s": len(busy) / seconds},
        "bytes_per_s_busy": (len(line.seen) - at) / seconds,
        "bytes_in_10_s_idle": idle(line),
    }


def echo(line: Line, letter: str) -> float:
    """Seconds from pressing a key until it is on the line: that letter, then the cursor's cell in its own colours."""
    since = len(line.seen)
    line.type(letter.encode())
    began = time.perf_counter()
    cursor = re.compile(letter.encode() + rb"(?:\x1b\[[0-9;]*m)+ ")
    while not cursor.search(bytes(line.seen[since:])):
        if time.perf_counter() - began > PATIENCE_S:
            raise SystemExit(f"{letter} was never echoed: {bytes(line.seen[since:])[-400:]!r}")
        line.read(PATIENCE_S)
    return time.perf_counter() - began


def idle(line: Line) -> int:
    """No answer, no run, nothing typed: bytes in ten seconds."""
    line.type(b"\x1b")  # ends the answer
    line.for_seconds(1)
    line.type(b"\x1b[20~")  # F9
    line.until(b"Go on training", len(line.seen))
    line.for_seconds(0.5)
    since, began = len(line.seen), time.perf_counter()
    line.type(b"\x1b[C")
    line.for_seconds(0.5)
    line.type(b"\r")
    line.until(b"Resume", since)  # what F2 does now
    while line.for_seconds(3) and time.perf_counter() - began < PATIENCE_S:
        pass  # notifications go; a screen that never rests shows in the figure
    return line.for_seconds(10)


def frames(written: bytes) -> list[int]:
    """Bytes of each frame."""
    parts = written.split(FRAME_BEGINS)[1:]
    return [len(part.split(FRAME_ENDS)[0]) for part in parts] or [len(written)]


def end(line: Line, home: Path) -> None:
    """The screen, then its engines; nothing stays behind."""
    os.environ["LORALAB_HOME"] = str(home)
    from loralab_core.wire.client import Client
    from loralab_core.wire.messages import Shutdown
    from loralab_core.wire.registry import list_engines

    line.process.send_signal(signal.SIGTERM)
    deadline = time.monotonic() + 10
    while line.process.poll() is None and time.monotonic() < deadline:
        try:
            line.read(0.1)
        except OSError:
            break
    line.process.kill()
    line.process.wait()
    for engine in list_engines():
        with Client(Path(engine.socket)) as client:
            client.ask(Shutdown(id=client.next_id()))


def spread(file: Path, since: float = 0.0, until: float = float("inf")) -> dict[str, float]:
    """Of the stalls between two moments; both processes read the same clock."""
    pairs = (line.split() for line in file.read_text().splitlines())
    return summary([float(stall) for moment, stall in pairs if since <= float(moment) <= until])


def summary(values: list[float]) -> dict[str, float]:
    ordered = sorted(values)
    return {
        "median": statistics.median(ordered),
        "p99": ordered[min(len(ordered) - 1, int(0.99 * len(ordered)))],
        "max": ordered[-1],
        "count": len(ordered),
    }


if __name__ == "__main__":
    main()
