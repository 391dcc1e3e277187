"""The whole program in a terminal multiplexer: real keys, a killed terminal, and back again."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from loralab_core.catalog.pocket import SAMPLE_CORPUS
from loralab_core.runs.directory import RunDirectory, list_runs
from loralab_core.runs.events import read
from loralab_core.runs.owner import owner
from tests.tui.tmux import Tmux

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(shutil.which("tmux") is None, reason="needs tmux, which is not installed here"),
]


@pytest.fixture
def terminal() -> Iterator[Tmux]:
    session = Tmux()
    yield session
    session.kill()


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    """Long enough that the training is not over before the test is."""
    path = tmp_path / "talks.jsonl"
    path.write_text(SAMPLE_CORPUS.read_text(encoding="utf-8") * 30, encoding="utf-8")
    return path


def test_a_killed_terminal_takes_nothing_with_it(corpus: Path, terminal: Tmux) -> None:
    terminal.start("--model", "pocket", "--corpus", str(corpus))
    terminal.until_shown("F2 trains")
    terminal.press("F2")
    terminal.until(lambda screen: "tok/s" in screen and "left" in screen, "a running training")
    terminal.type("Who is Mara?")
    terminal.until_shown("Who is Mara?")
    terminal.press("Enter")
    ((run, _),) = list_runs()
    terminal.until(lambda _: run.chat_path.exists(), "an answer")
    studio = terminal.pid()
    terminal.kill()
    psutil.wait_procs([psutil.Process(studio)] if psutil.pid_exists(studio) else [], timeout=20)
    assert not psutil.pid_exists(studio), "the screen ends with its terminal"
    assert owner(run) is not None, "the training does not"

    before = _last_step(run)
    terminal.start("--attach", "last")
    terminal.until(lambda screen: "left" in screen and "tok/s" in screen, "the run again")
    terminal.until(lambda _: _last_step(run) > before, "training went on")
    assert "Who is Mara?" in terminal.until_shown("Who is Mara?"), "what was said is there again"
    terminal.press("F9")
    terminal.until_shown("Go on training")
    terminal.press("Right", "Enter")
    terminal.until_shown("Stopped at step")
    terminal.press("C-q")
    terminal.until(lambda _: owner(run) is None, "nothing is left behind")


def _last_step(run: RunDirectory) -> int:
    return max((event["step"] for event in read(run.events_path) if event["event"] == "step"), default=0)
