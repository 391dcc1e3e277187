"""The engine's part of the installation, while it is still under way: what the set-up script says of it.

`make run` opens the screen first and fetches PyTorch beside it, telling how far it is in a file of the environment.
"""

import fcntl
import os
import subprocess
from pathlib import Path

import msgspec

from loralab_core.errors import LoraLabError, explain_os_error
from loralab_tui import words
from loralab_tui.config import keymap

PROGRESS = "engine-install.json"
LOCK = ".lock"
PHASES = {"starting": "getting ready", "unpacking": "unpacking", "checking": "trying it out"}


class Install(msgspec.Struct, frozen=True):
    """As the file says. `done` and `total` are bytes of the download under way, `again` the command that retries."""

    state: str
    what: str = "PyTorch"
    done: int = 0
    total: int = 0
    why: str = ""
    log: str = ""
    again: tuple[str, ...] = ()

    @property
    def failed(self) -> bool:
        return self.state == "failed"

    @property
    def share(self) -> float | None:
        return min(1.0, self.done / self.total) if self.total else None

    @property
    def short(self) -> str:
        """For a button: "Installing 37%"."""
        if self.failed:
            return "Install again"
        return "Installing" if self.share is None else f"Installing {100 * self.share:.0f}%"

    @property
    def sentence(self) -> str:
        """ "Installing the engine: PyTorch 2.13, 37% of 184 MB"."""
        if self.failed:
            return f"The engine is not installed: {keymap.name('train')} tries again"
        if self.share is not None:
            how = f"{100 * self.share:.0f}% of {words.size(self.total)}"
        else:
            how = PHASES.get(self.state, self.state)
        return f"Installing the engine: {self.what}, {how}"


def look(environment: Path) -> Install | None:
    """How the installation into `environment` stands; None when there is nothing to wait for. For a thread."""
    told = _read(environment / PROGRESS)
    if told is None or told.failed or _is_held(environment / LOCK):
        return told
    told = _read(environment / PROGRESS)  # it may have ended just now
    if told is None or told.failed:
        return told
    return msgspec.structs.replace(told, state="failed", why="The installation was cut short")


def _read(path: Path) -> Install | None:
    try:
        told = msgspec.json.decode(path.read_bytes(), type=Install)
    except (OSError, msgspec.DecodeError):
        return None
    return None if told.state == "done" else told


def _is_held(lock: Path) -> bool:
    """Whether somebody installs: the kernel frees the lock when its holder ends, however that ends."""
    try:
        descriptor = os.open(lock, os.O_RDONLY)
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        return False
    except OSError:
        return True
    finally:
        os.close(descriptor)


def begin_again(install: Install) -> None:
    """Retry beside the screen, in a process that outlives it. LoraLabError when it cannot even begin."""
    try:
        with open(install.log or os.devnull, "a") as log:
            subprocess.Popen(install.again, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True)
    except (OSError, IndexError) as error:
        why = explain_os_error(error, "begin the installation") if isinstance(error, OSError) else "nothing says how"
        raise LoraLabError(f"{why}; `make setup` installs everything") from None
