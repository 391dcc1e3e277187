"""`python -m loralab_tui` in a terminal of its own: first paint, signals, and what it never imports."""

import os
import pty
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from loralab_core.architecture.counts import parameter_count
from loralab_core.architecture.families import read_config, stored_base
from loralab_core.catalog.pocket import POCKET
from loralab_core.hardware.devices import resolve_base, resolve_device
from loralab_core.wire.registry import engine_key, hold_lock

ROOT = Path(__file__).parents[2]
ALTERNATE_SCREEN, NORMAL_SCREEN = b"\x1b[?1049h", b"\x1b[?1049l"
CTRL_Q = b"\x11"
PATIENCE_S = 20.0


class Terminal:
    """The program's terminal: what it wrote so far."""

    def __init__(self, process: "subprocess.Popen[bytes]", master: int) -> None:
        self.process, self.master, self.seen = process, master, b""

    def read_until(self, wanted: bytes) -> None:
        deadline = time.monotonic() + PATIENCE_S
        while wanted not in self.seen:
            left = deadline - time.monotonic()
            assert left > 0 and select.select([self.master], [], [], left)[0], self.seen[-2000:]
            try:
                self.seen += os.read(self.master, 1 << 16)
            except OSError:
                break
        assert wanted in self.seen

    def hang_up(self) -> None:
        """The other side is gone, and nobody is told: the program does not lead a session of this terminal."""
        os.close(self.master)
        self.master = -1


@contextmanager
def started(*arguments: str) -> Iterator[Terminal]:
    master, slave = pty.openpty()
    os.set_blocking(master, True)
    environment = {**os.environ, "TERM": "xterm-256color", "COLUMNS": "80", "LINES": "24"}
    command = [sys.executable, "-m", "loralab_tui", *arguments]
    process = subprocess.Popen(
        command, stdin=slave, stdout=slave, stderr=slave, cwd=ROOT, env=environment, start_new_session=True
    )
    os.close(slave)
    terminal = Terminal(process, master)
    try:
        yield terminal
    finally:
        process.kill()
        process.wait()
        if terminal.master >= 0:
            terminal.hang_up()


def test_a_home_that_can_be_nowhere_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as changed:
        changed.setenv("LORALAB_HOME", "~nobody-of-that-name/x")
        with started() as terminal:
            terminal.read_until(b"there is no user called nobody-of-that-name")
            assert terminal.process.wait(PATIENCE_S) == 2
        assert ALTERNATE_SCREEN not in terminal.seen and b"Traceback" not in terminal.seen


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_signal_gives_the_terminal_back(number: signal.Signals) -> None:
    with started() as terminal:
        terminal.read_until(ALTERNATE_SCREEN)
        terminal.read_until(b"Quit")
        terminal.process.send_signal(number)
        terminal.read_until(NORMAL_SCREEN)
        assert terminal.process.wait(PATIENCE_S) == 128 + number
        assert b"Traceback" not in terminal.seen


def test_a_terminal_that_is_gone_without_a_signal_ends_it() -> None:
    with started() as terminal:
        terminal.read_until(b"Quit")
        terminal.hang_up()
        assert terminal.process.wait(PATIENCE_S) == 128 + signal.SIGHUP


def test_leaving_does_not_wait_for_an_engine_that_starts() -> None:
    device = resolve_device()
    base = resolve_base("auto", device, parameter_count(read_config(POCKET)), stored_base(POCKET))
    lock = hold_lock(engine_key(str(POCKET), base, device))  # as an engine that takes forever
    assert lock is not None
    with started("--model", str(POCKET)) as terminal:
        terminal.read_until(b"tarting the engine")
        os.write(terminal.master, CTRL_Q)
        terminal.read_until(NORMAL_SCREEN)
        assert terminal.process.wait(PATIENCE_S) == 0
        assert b"Traceback" not in terminal.seen
    os.close(lock)


def test_without_a_terminal_it_says_what_works_instead() -> None:
    done = subprocess.run([sys.executable, "-m", "loralab_tui"], capture_output=True, text=True, cwd=ROOT, check=False)
    assert done.returncode == 2 and "loralab train" in done.stderr and "Traceback" not in done.stderr


def test_a_screen_at_work_has_imported_neither_torch_nor_transformers() -> None:
    program = """
import asyncio, sys
from loralab_tui.app import Options, StudioApp

async def use() -> None:
    app = StudioApp(Options(host="box"))
    async with app.run_test(size=(120, 40)) as pilot:
        for key in ("f1", "f4", "f5", "f6", "f7"):
            await pilot.press(key)
            await pilot.pause()
            await pilot.press("escape")

asyncio.run(use())
print(sorted({"torch", "transformers", "peft"} & {name.split(".")[0] for name in sys.modules}))
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, cwd=ROOT, check=False)
    assert done.stdout.splitlines()[-1:] == ["[]"], done.stderr
