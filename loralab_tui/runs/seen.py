"""Up to where each run was looked at: a small file of the screen's own, so that coming back can tell what is new."""

import time
from pathlib import Path

import msgspec

from loralab_core.files import write_atomic
from loralab_core.paths import home

NEWEST = 200


class Seen(msgspec.Struct, frozen=True):
    """`seq` of the newest event that was on the screen, and when that was."""

    seq: int
    time: float


def seen_path() -> Path:
    return home() / "ui" / "seen.json"


def last_seen(run: str) -> Seen | None:
    """None for a run that was never on the screen, as far as the file can be read."""
    return _read().get(run)


def remember(run: str, seq: int, now: float | None = None) -> None:
    """Write down that `run` was on the screen until now. A disk that refuses costs the card, nothing else."""
    known = _read()
    known[run] = Seen(seq, time.time() if now is None else now)
    newest = sorted(known.items(), key=lambda item: item[1].time)[-NEWEST:]
    try:
        seen_path().parent.mkdir(parents=True, exist_ok=True)
        write_atomic(seen_path(), msgspec.json.encode(dict(newest)) + b"\n")
    except OSError:
        return


def _read() -> dict[str, Seen]:
    try:
        return msgspec.json.decode(seen_path().read_bytes(), type=dict[str, Seen])
    except (OSError, msgspec.DecodeError):
        return {}
