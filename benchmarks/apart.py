"""Parts that run each in a process of its own: one that crashes, hangs or poisons its GPU takes nothing with it."""

import json
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from benchmarks.parts import Row

Command = Callable[[str, Path], list[str]]
"""`command(part, file)` starts a process that does the part and appends its rows to the file, one a line."""


@dataclass(frozen=True)
class Apart:
    """Processes under `place`, which together end before `end` (of time.monotonic)."""

    command: Command
    place: Path
    end: float

    def rows(self, name: str, budget_s: float) -> Iterator[Row]:
        """What the process found, however it ended. Raises RuntimeError with a sentence where that was not well."""
        limit = min(budget_s, self.end - time.monotonic())
        if limit <= 0:
            raise RuntimeError("there was no time left; call again to go on")
        self.place.mkdir(parents=True, exist_ok=True)
        file, log = self.place / f"{name}.jsonl", self.place / f"{name}.log"
        file.unlink(missing_ok=True)
        status = _status(self.command(name, file), log, limit)
        yield from rows_in(file)
        if status is None:
            raise RuntimeError(f"it was ended after {limit:.0f} s; call again to go on (its last words are in {log})")
        if status:
            raise RuntimeError(f"{last_line(log) or f'status {status}'} (see {log})")


def _status(command: list[str], log: Path, limit: float) -> int | None:
    """How the process ended; None where it was ended, with all that it had started."""
    with open(log, "wb") as printed:
        process = subprocess.Popen(command, stdout=printed, stderr=printed, start_new_session=True)
        try:
            return process.wait(limit)
        except subprocess.TimeoutExpired:
            return None
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()


def append(file: Path, rows: Iterator[Row]) -> None:
    """In the process: each row is in the file as soon as it is known."""
    with open(file, "a", encoding="utf-8") as opened:
        for row in rows:
            opened.write(json.dumps(row, ensure_ascii=False) + "\n")
            opened.flush()


def rows_in(file: Path) -> list[Row]:
    """A torn last line is none."""
    try:
        lines = file.read_text(encoding="utf-8").split("\n")[:-1]
    except OSError:
        return []
    return [json.loads(line) for line in lines]


def last_line(log: Path) -> str:
    lines = [line.strip() for line in log.read_text(errors="replace").splitlines() if line.strip()]
    return lines[-1] if lines else ""
