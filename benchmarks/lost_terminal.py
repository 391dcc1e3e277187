"""What a terminal that freezes or dies costs the training it started: seconds of a step before and after.

    python benchmarks/lost_terminal.py --model DIR --corpus FILE [--steps 60] [--out FILE.json]

Starts `loralab train` below a temporary LORALAB_HOME, sends it SIGSTOP (or SIGHUP, SIGKILL) in the middle, and reads
the steps' times from events.jsonl when the run has ended without it. Not a test: nothing fails here.
"""

import argparse
import itertools
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from report import command_line, machine, publish

LIMIT_S = 300.0


def main() -> None:
    parser = command_line(__doc__)
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--corpus", type=Path, required=True)
    parser.add_argument("--steps", type=int, default=60)
    arguments = parser.parse_args()
    report: dict[str, object] = {"machine": machine()}
    for number in (signal.SIGSTOP, signal.SIGHUP, signal.SIGKILL):
        with tempfile.TemporaryDirectory() as home:
            report[number.name] = measure(arguments, number, Path(home))
    publish(report, arguments.out)


def measure(arguments: argparse.Namespace, number: signal.Signals, home: Path) -> dict[str, object]:
    from loralab_core.runs.events import FINAL, read

    options = ["--base", "fp32", "--seq-len", "256", "--batch", "4", "--val", "0", "--steps", str(arguments.steps)]
    options += ["--run-dir", str(home / "run"), "--model", str(arguments.model), "--corpus", str(arguments.corpus)]
    environment = {**os.environ, "LORALAB_HOME": str(home), "LORALAB_ENGINE_IDLE_S": "1"}
    command = [sys.executable, "-m", "loralab_core.cli.main", "train", "--json", *options]
    client = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    events, lost_at = home / "run" / "events.jsonl", arguments.steps // 2
    while not any(event.get("step") == lost_at for event in read(events)):
        if client.poll() is not None:
            raise SystemExit("the run did not start")
        time.sleep(0.02)
    client.send_signal(number)
    deadline = time.monotonic() + LIMIT_S
    while not any(event["event"] in FINAL for event in read(events)):
        if time.monotonic() > deadline:
            raise SystemExit(f"the run did not end within {LIMIT_S:.0f} s")
        time.sleep(0.05)
    ended = read(events)
    client.kill()
    client.wait()
    marks = [event["time"] for event in ended if event["event"] == "step"]
    seconds = [after - before for before, after in itertools.pairwise(marks)]
    return {
        "ended": ended[-1]["event"],
        "steps": ended[-1]["steps"],
        "step_s_before": statistics.median(seconds[3 : lost_at - 1]),
        "step_s_after": statistics.median(seconds[lost_at:]),
    }


if __name__ == "__main__":
    main()
