"""Which process writes a run at this moment.

`engine.pid` holds its number, as such files do (`kill $(cat engine.pid)`); `.engine.json` beside it what tells this
process from a later one with the same number, and from one on another host. Without engine.pid there is no owner.
"""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import msgspec

from loralab_core.errors import LoraLabError, explain_os_error
from loralab_core.files import write_atomic
from loralab_core.processes import Identity, identify
from loralab_core.runs.directory import RunDirectory


def owner(run: RunDirectory) -> Identity | None:
    """The process that writes `run`: alive here, or on another host (then nobody can tell whether it lives)."""
    try:
        found = msgspec.json.decode(run.identity_path.read_bytes(), type=Identity)
        number = int(run.owner_path.read_text())
    except (OSError, ValueError, msgspec.DecodeError):
        return None
    if number != found.pid:
        return None
    return found if found.is_alive or not found.is_here else None


def claim(run: RunDirectory) -> None:
    """Make this process the writer of `run`. LoraLabError, naming it, if another one is."""
    try:
        with _locked(run.path):
            current = owner(run)
            if current is not None and current != identify():
                raise LoraLabError(_taken(run, current))
            write_atomic(run.identity_path, msgspec.json.encode(identify()))
            write_atomic(run.owner_path, f"{os.getpid()}\n".encode())
    except OSError as error:
        raise LoraLabError(explain_os_error(error, f"write {run.owner_path}")) from error


def release(run: RunDirectory) -> None:
    """Give `run` up, if this process has it. Never raises OSError."""
    current = owner(run)
    if current is not None and current.is_here and current.pid == os.getpid():
        with suppress(OSError):
            run.owner_path.unlink()
            run.identity_path.unlink()


def _taken(run: RunDirectory, current: Identity) -> str:
    if current.is_here:
        return f"{run.path} is being trained by process {current.pid}; `loralab attach {run.path}` follows it"
    return (
        f"{run.path} was being trained by process {current.pid} on {current.host}; "
        f"if that is over, remove {run.owner_path} and try again"
    )


@contextmanager
def _locked(directory: Path) -> Iterator[None]:
    """Holds two processes apart that claim the same run at the same moment."""
    handle = os.open(directory, os.O_RDONLY | os.O_CLOEXEC)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)
