"""Have an engine: connect to the living one for this model, or start one that outlives the terminal."""

import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import IO, NamedTuple

from loralab_core.errors import LoraLabError, explain_os_error
from loralab_core.paths import engines_dir
from loralab_core.wire.client import Client, EngineFrozen, EngineGone
from loralab_core.wire.greeting import HELLO_TIMEOUT_S, OtherVersion, check_version
from loralab_core.wire.logout import survey
from loralab_core.wire.other_version import retire
from loralab_core.wire.registry import clear_stale, engine_key, is_held, log_path, socket_path

START_TIMEOUT_S = 120.0  # until the socket listens; the model is read after that
POLL_S = 0.05
LOG_LIMIT = 1 << 20

# Waiting threads sleep instead of spinning: the chat, the UI and other people's work need the cores.
ENGINE_ENVIRONMENT = {
    "OMP_WAIT_POLICY": "PASSIVE",
    "GOMP_SPINCOUNT": "0",
    "MKL_DYNAMIC": "FALSE",
    "OMP_DYNAMIC": "FALSE",
    "CUBLAS_WORKSPACE_CONFIG": ":4096:8",  # without it --deterministic is refused on a GPU
}

Note = Callable[[str], None]


class Spawned(NamedTuple):
    process: subprocess.Popen[bytes]
    log: Path
    log_start: int  # bytes that were in the log before


def engine_command(key: str, model: str, base: str, device: str, mode: str = "") -> list[str]:
    """The command line of an engine: the contract between this launcher and `python -m loralab_core.engine`."""
    command = [sys.executable, "-m", "loralab_core.engine", "--model", model, "--base", base, "--device", device]
    return [*command, "--key", key, *(["--mode", mode] if mode else [])]


def ensure_engine(
    model: str,
    base: str,
    device: str,
    *,
    mode: str = "",
    on_note: Note = lambda sentence: None,
    on_wait: Callable[[], object] = lambda: None,
    command: Callable[[str, str, str, str, str], list[str]] = engine_command,
    timeout: float = START_TIMEOUT_S,
    hello_timeout: float = HELLO_TIMEOUT_S,
) -> Path:
    """The socket of an engine that answers, started here if there is none. `on_note` gets sentences for the user.

    `on_wait` is called again and again until there is one; what it raises ends the waiting. An engine started by then
    comes up nevertheless, as whole as any: another caller may be waiting for it, and where none is it ends by itself.
    Two callers at once end with the same engine: the loser of the lock leaves and both connect to the winner.
    An idle engine of another version is ended first; one that is needed is left alone, and LoraLabError says so.
    Raises LoraLabError with the log's last line if the engine dies before it listens.
    """
    model = os.path.realpath(model) if os.path.isdir(model) else model
    key = engine_key(model, base, device, mode)
    spawned: Spawned | None = None
    deadline = time.monotonic() + timeout
    while time.monotonic() < deadline:
        on_wait()
        try:
            if answers(socket_path(key), hello_timeout):
                return socket_path(key)
        except OtherVersion:
            if ended := retire(socket_path(key), hello_timeout):
                on_note(ended)
        if not is_held(key):
            if spawned is None:
                for sentence in clear_stale(key):
                    on_note(sentence)
                spawned = spawn(key, command(key, model, base, device, mode), on_note)
            elif spawned.process.poll() is not None:
                raise LoraLabError(f"the engine did not start: {last_words(spawned)} (log: {spawned.log})")
        time.sleep(POLL_S)
    raise LoraLabError(f"the engine did not answer within {timeout:.0f} s; its log: {log_path(key)}")


def answers(socket: Path, timeout: float = HELLO_TIMEOUT_S) -> bool:
    """Whether an engine speaks at `socket`. OtherVersion if in other words than ours, EngineFrozen if it is stuck."""
    if not socket.exists():
        return False
    try:
        with Client(socket, timeout=timeout, any_version=True) as visit:  # is not counted as somebody who needs it
            check_version(visit.engine)
    except EngineFrozen:
        raise
    except EngineGone:
        return False
    return True


def spawn(key: str, command: list[str], on_note: Note) -> Spawned:
    """Start a detached engine: own session, no terminal, its words in engines/<key>.log."""
    survival = survey()
    if survival.note:
        on_note(survival.note)
    log = log_path(key)
    try:
        with _open_log(log) as file:
            start = file.tell()
            process = subprocess.Popen(
                [*survival.wrapper, *command],
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=file,
                cwd="/",
                env=_environment(),
                start_new_session=True,
            )
    except OSError as error:
        raise LoraLabError(explain_os_error(error, f"start an engine with its log at {log}")) from error
    return Spawned(process, log, start)


def last_words(spawned: Spawned) -> str:
    """The last line the engine wrote, or its exit status."""
    with open(spawned.log, "rb") as file:
        file.seek(spawned.log_start)
        lines = file.read().decode(errors="replace").strip().splitlines()
    return lines[-1].strip() if lines else f"it ended with status {spawned.process.returncode} and said nothing"


def _open_log(path: Path) -> IO[bytes]:
    engines_dir().mkdir(parents=True, exist_ok=True)
    grown = path.exists() and path.stat().st_size > LOG_LIMIT
    file = open(path, "wb" if grown else "ab")  # noqa: SIM115 - the caller closes it
    file.seek(0, os.SEEK_END)
    return file


def _environment() -> dict[str, str]:
    """Ours, with sleeping threads unless the user set otherwise, and this package importable from anywhere."""
    environment = {**ENGINE_ENVIRONMENT, **os.environ}
    source = Path(__file__).parents[2]
    if source.name not in ("site-packages", "dist-packages"):
        paths = [str(source), *filter(None, environment.get("PYTHONPATH", "").split(os.pathsep))]
        environment["PYTHONPATH"] = os.pathsep.join(os.path.abspath(path) for path in paths)
    return environment
