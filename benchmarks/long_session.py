"""A long session on one screen: a run of 100,000 events attached, then 300 messages; stalls and the screen's memory.

    python benchmarks/long_session.py [--model DIR] [--events 100000] [--messages 300] [--size 120x40] [--out FILE]

Runs `loralab-tui --attach last` in a pseudo-terminal below a temporary LORALAB_HOME, with a real engine that answers.
Not a test: nothing fails here.
"""

import argparse
import os
import sys
import tempfile
import time
from pathlib import Path

import psutil
from line import Line
from report import command_line, machine, publish
from screen import end, spread

LENGTH = 60  # tokens of an answer at most


def main() -> None:
    parser = command_line(__doc__)
    parser.add_argument("--model", type=Path)
    parser.add_argument("--events", type=int, default=100_000)
    parser.add_argument("--messages", type=int, default=300)
    parser.add_argument("--size", default="120x40")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as home:
        report = measure(arguments, Path(home))
    publish(report, arguments.out)


def measure(arguments: argparse.Namespace, home: Path) -> dict[str, object]:
    from loralab_core.catalog.pocket import POCKET

    stalls = home / "stalls"
    os.environ |= {"LORALAB_HOME": str(home), "LORALAB_MEASURE_STALLS": str(stalls), "TERM": "xterm-256color"}
    columns, lines = arguments.size.split("x")
    environment = {name: value for name, value in os.environ.items() if name not in ("TMUX", "SSH_CONNECTION")}
    environment |= {"COLORTERM": "truecolor", "COLUMNS": columns, "LINES": lines}
    write_run(arguments.model or POCKET, arguments.events)
    command = [sys.executable, "-m", "loralab_tui", "--attach", "last"]
    line = Line(command, environment, (int(columns), int(lines)))
    try:
        report = drive(line, arguments.messages, home)
    finally:
        end(line, home)
    began, replayed, ended = report.pop("moments")
    return {
        "machine": machine(),
        "size": arguments.size,
        "events": arguments.events,
        "messages": arguments.messages,
        "stall_s_of_the_replay": spread(stalls, began, replayed),
        "stall_s_of_the_messages": spread(stalls, replayed, ended),
        **report,
    }


def write_run(model: Path, events: int) -> None:
    """As an engine would have left it; every two-thousandth step was validated and saved."""
    from loralab_core.runs.config import TrainConfig
    from loralab_core.runs.directory import create_run
    from loralab_core.runs.events import EventLog

    run = create_run(TrainConfig(model=str(model), corpus=("/data/plays.txt",), name="long", base="fp32"))
    log = EventLog(run.events_path)
    log.append({"event": "prepared", "steps": events, "step": 0})
    for step in range(1, events + 1):
        loss = 2.5 + 3.0 / (1 + step / 1000) + 0.3 * ((step * 7919) % 101 / 101 - 0.5)
        figures = {"lr": 1e-4, "tokens": 4096 * step, "tokens_per_s": 1700.0, "eta_s": events - step, "grad_norm": 0.8}
        log.append({"event": "step", "step": step, "loss": loss, **figures})
        if step % 2000 == 0:
            log.append({"event": "eval", "step": step, "loss": loss + 0.1, "perplexity": 20.0})
            log.append({"event": "checkpoint", "step": step})
    log.append({"event": "done", "steps": events, "tokens": 4096 * events, "seconds": 50_000.0, "adapter": None})
    log.close()


def drive(line: Line, messages: int, home: Path) -> dict[str, object]:
    began = time.perf_counter()
    line.until(b"100%")
    line.for_seconds(3)
    replayed = time.perf_counter()
    screen = psutil.Process(line.process.pid)
    memory = {"attached": screen.memory_info().rss}
    line.type(b"/base\r")  # the run has events only, no adapter
    line.for_seconds(0.5)
    line.type(b"/length %d\r" % LENGTH)
    chat = next((home / "runs").iterdir()) / "chat.jsonl"
    for number in range(1, messages // 2 + 1):
        line.type(b"Tell me a story.")
        line.for_seconds(0.05)
        line.type(b"\r")
        answered(line, chat, number)
        if number % (messages // 12) == 0:
            memory[f"after {2 * number} messages"] = screen.memory_info().rss
    ended = time.perf_counter()
    return {"moments": (began, replayed, ended), "replay_s": replayed - began - 3, "memory_bytes": memory}


def answered(line: Line, chat: Path, number: int) -> None:
    deadline = time.monotonic() + 60
    while not chat.exists() or chat.read_bytes().count(b"\n") < number:
        if time.monotonic() > deadline:
            raise SystemExit(f"question {number} was never answered: {bytes(line.seen[-800:])!r}")
        line.for_seconds(0.05)
    line.for_seconds(0.2)


if __name__ == "__main__":
    main()
