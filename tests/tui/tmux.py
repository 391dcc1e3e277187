"""A terminal that can be left and killed: tmux with a server of its own, real keys, the text on its screen."""

import os
import shlex
import subprocess
import sys
import time
import uuid
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).parents[2]
PATIENCE_S = 60.0
POLL_S = 0.1
KEY_S = 0.2  # between keys: an Escape with something right behind it is another key


class Tmux:
    """One session. `kill` takes the terminal away from the program, as a lost connection does."""

    def __init__(self, width: int = 120, height: int = 40) -> None:
        self.socket = f"loralab-{uuid.uuid4().hex[:8]}"
        self.size = ("-x", str(width), "-y", str(height))

    def start(self, *arguments: str) -> None:
        """The studio with these arguments, in a new session with a client that can be detached."""
        command = shlex.join([sys.executable, "-m", "loralab_tui", *arguments])
        self._tmux("-f", os.devnull, "new-session", "-d", *self.size, "-c", str(ROOT), command)

    def press(self, *keys: str) -> None:
        """Keys by tmux's names: "F2", "Enter", "Escape", "C-q"."""
        for key in keys:
            self._tmux("send-keys", key)
            time.sleep(KEY_S)

    def type(self, text: str) -> None:
        self._tmux("send-keys", "-l", text)

    def screen(self) -> str:
        return self._tmux("capture-pane", "-p")

    def pid(self) -> int:
        """Of the program in the terminal."""
        return int(self._tmux("display-message", "-p", "#{pane_pid}"))

    def until(self, condition: Callable[[str], object], what: str) -> str:
        """The screen once `condition` holds for it."""
        deadline = time.monotonic() + PATIENCE_S
        while time.monotonic() < deadline:
            screen = self.screen()
            if condition(screen):
                return screen
            time.sleep(POLL_S)
        raise AssertionError(f"never on the screen: {what}\n{screen}")

    def until_shown(self, text: str) -> str:
        return self.until(lambda screen: text in screen, text)

    def kill(self) -> None:
        subprocess.run(["tmux", "-L", self.socket, "kill-server"], capture_output=True, check=False)

    def _tmux(self, *arguments: str) -> str:
        asked = ["tmux", "-L", self.socket, *arguments]
        done = subprocess.run(asked, capture_output=True, text=True, env=_environment(), check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout


def _environment() -> dict[str, str]:
    """Of now, since a test has a home of its own; without the size of the terminal the tests run in."""
    return {name: value for name, value in os.environ.items() if name not in ("COLUMNS", "LINES", "TMUX")}
