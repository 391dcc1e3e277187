"""Which engines run: one JSON record each in LORALAB_HOME/engines, one lock that an engine holds all its life.

The lock says whether an engine lives (the kernel drops it with the process, however it ends); the record says where
its socket is. A record without a living process is stale: it is removed, with its socket, and said.
"""

import errno
import fcntl
import hashlib
import os
import socket
import time
from contextlib import suppress
from pathlib import Path

import msgspec

from loralab_core.errors import LoraLabError, explain_os_error
from loralab_core.files import write_atomic
from loralab_core.paths import engines_dir, home, socket_dir
from loralab_core.processes import Identity, identify

YOUNG_S = 60.0


class EngineRecord(msgspec.Struct, kw_only=True, frozen=True):
    """`engines/<key>.json`: an engine that answers, or answered once."""

    key: str
    process: Identity
    socket: str
    model: str
    base: str
    device: str
    mode: str = ""
    version: str = ""
    threads: int = 0


def engine_key(model: str, base: str, device: str, mode: str = "") -> str:
    """What an engine is for, as a short hash: one engine per home, model, precision and device.

    `mode` is the run's id where all weights are trained, because such a model cannot be shared; empty otherwise.
    """
    place = os.path.realpath(model) if os.path.isdir(model) else model
    parts = (os.path.realpath(home()), place, base, device, mode)
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:12]


def record_path(key: str) -> Path:
    return engines_dir() / f"{key}.json"


def log_path(key: str) -> Path:
    return engines_dir() / f"{key}.log"


def lock_path(key: str) -> Path:
    return engines_dir() / f"{key}.lock"


def socket_path(key: str) -> Path:
    """Short enough for a Unix socket wherever LORALAB_HOME is. Creates the private directory."""
    return socket_dir() / f"{key}.sock"


def log_of(socket: Path) -> Path | None:
    path = log_path(socket.stem)
    return path if path.exists() else None


def hold_lock(key: str) -> int | None:
    """Become the engine for `key`: an open file that holds the lock while this process lives; None if there is one.

    Raises LoraLabError when LORALAB_HOME cannot be written.
    """
    try:
        engines_dir().mkdir(parents=True, exist_ok=True)
        handle = os.open(lock_path(key), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise LoraLabError(explain_os_error(error, f"write {lock_path(key)}")) from error
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(handle)
        return None
    return handle


def is_held(key: str) -> bool:
    """Whether an engine for `key` lives, also one that does not listen yet."""
    if not lock_path(key).exists():
        return False
    handle = hold_lock(key)
    if handle is None:
        return True
    os.close(handle)
    return False


def register(record: EngineRecord) -> None:
    """Called by the engine just before its socket listens: who can connect can also find it. Raises LoraLabError."""
    try:
        engines_dir().mkdir(parents=True, exist_ok=True)
        write_atomic(record_path(record.key), msgspec.json.encode(record) + b"\n")
    except OSError as error:
        raise LoraLabError(explain_os_error(error, f"write {record_path(record.key)}")) from error


def describe(key: str, *, model: str, base: str, device: str, mode: str = "", version: str = "") -> EngineRecord:
    """The record of this very process."""
    place = str(socket_path(key))
    return EngineRecord(
        key=key, process=identify(), socket=place, model=model, base=base, device=device, mode=mode, version=version
    )


def unregister(key: str) -> None:
    """Called by the engine as it leaves, before it gives up the lock. Never raises OSError."""
    with suppress(OSError):
        record_path(key).unlink(missing_ok=True)
    with suppress(OSError, LoraLabError):
        socket_path(key).unlink(missing_ok=True)


def read_engine(key: str) -> EngineRecord | None:
    try:
        return msgspec.json.decode(record_path(key).read_bytes(), type=EngineRecord)
    except (OSError, msgspec.DecodeError):
        return None


def list_engines() -> list[EngineRecord]:
    """Records of living engines, and of engines on other hosts that share this home."""
    return [record for record in _all_records() if record.process.is_alive or not record.process.is_here]


def find_by_pid(pid: int) -> EngineRecord | None:
    return next((one for one in list_engines() if one.process.pid == pid and one.process.is_here), None)


def held_on(model: str) -> str | None:
    """The GPU on which an engine here holds `model` for everybody: opened again elsewhere it would be there twice."""
    shared = (one for one in list_engines() if one.process.is_here and one.model == model and not one.mode)
    return next((one.device for one in shared if one.device.startswith("cuda")), None)


def clear_stale(key: str | None = None) -> list[str]:
    """Remove records and sockets of engines that died (of one `key`, or all); one sentence for each removed."""
    said = []
    for record in _all_records():
        dead = record.process.is_here and not record.process.is_alive
        if dead and key in (None, record.key) and not is_held(record.key):
            unregister(record.key)
            said.append(
                f"the engine for {record.model} (pid {record.process.pid}) is gone; "
                f"its record was removed, its log is {log_path(record.key)}"
            )
    return said


def clear_dead_sockets() -> None:
    """Remove sockets nobody listens at, whichever home their engines had; young ones may be about to listen."""
    for path in socket_dir().glob("*.sock"):
        with suppress(OSError):
            if time.time() - path.stat().st_mtime > YOUNG_S and not _is_listening(path):
                path.unlink()


def _is_listening(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as probe:
        probe.settimeout(1.0)
        return probe.connect_ex(str(path)) != errno.ECONNREFUSED


def _all_records() -> list[EngineRecord]:
    paths = sorted(engines_dir().glob("*.json")) if engines_dir().is_dir() else []
    found = (read_engine(path.stem) for path in paths)
    return [record for record in found if record is not None]
