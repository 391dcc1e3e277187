"""A run in one line: how it stands, from its events and its owner alone."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal, TypeVar

import msgspec

from loralab_core.runs.directory import RunDirectory
from loralab_core.runs.events import Event, EventReader
from loralab_core.runs.history import History
from loralab_core.runs.owner import owner
from loralab_core.runs.record import RunRecord

Loss = TypeVar("Loss", float, float | None)
Status = Literal["running", "finished", "stopped", "failed", "interrupted"]
_ENDED: dict[str, Status] = {"done": "finished", "stopped": "stopped", "failed": "failed"}
_BARS = "▁▂▃▄▅▆▇█"
CURVE_POINTS = 32


class Summary(msgspec.Struct, kw_only=True, frozen=True):
    """What lists of runs show."""

    id: str
    path: str
    name: str | None
    created: float
    model: str
    corpus: list[str]
    mode: str
    status: Status
    host: str | None = None  # where it runs, if not here
    why: str | None = None  # of a failed one
    step: int = 0
    steps: int | None = None
    loss: float | None = None  # of the last step
    val_loss: float | None = None  # the best one
    val_perplexity: float | None = None
    best_step: int | None = None
    tokens: int = 0
    seconds: float = 0.0  # of training, from the first step on
    disk_bytes: int = 0
    curve: list[float | None] = []  # losses, thinned; None where a step had no finite loss


def summarise(run: RunDirectory, record: RunRecord | None = None) -> Summary:
    """Raises BadInput if run.json cannot be read; everything else that is missing is simply not known."""
    history = History()
    for events in EventReader(run.events_path).pieces():
        history.fold(events)
    return summary_of(run, record or run.record(), history)


def summary_of(run: RunDirectory, record: RunRecord, history: History) -> Summary:
    """`history`: all events of the run, folded."""
    steps = history.planned or record.config.get("steps")
    return Summary(
        id=record.id,
        path=str(run.path),
        name=record.name,
        created=record.created,
        model=str(record.config.get("model", "")),
        corpus=list(record.config.get("corpus", ())),
        mode=str(record.config.get("mode", "adapter")),
        steps=int(steps) if steps else None,
        disk_bytes=disk_bytes(run.path),
        curve=[None if math.isnan(loss) else loss for loss in thin(history.losses, CURVE_POINTS)],
        **standing(run, history.end),
        **history.figures(),
    )


def standing(run: RunDirectory, end: Event | None) -> dict[str, Any]:
    """`status`, `why` and `host`: as the event it ended with says, running while its owner lives, else interrupted."""
    if end is not None and not _claimed_since(run, end["time"]):
        return {"status": _ENDED[end["event"]], "why": end.get("why"), "host": None}
    by = owner(run)
    if by is None:
        return {"status": "interrupted", "why": None, "host": None}
    return {"status": "running", "why": None, "host": None if by.is_here else by.host}


def _claimed_since(run: RunDirectory, ended: float) -> bool:
    """Whether a process took the run up again after it had ended: its model or corpus is being read."""
    try:
        return run.owner_path.stat().st_mtime > ended and owner(run) is not None
    except OSError:
        return False


def disk_bytes(path: Path) -> int:
    """What lies below `path`; files that disappear meanwhile do not count."""
    total = 0
    for file in path.rglob("*"):
        try:
            total += file.lstat().st_size
        except OSError:
            continue
    return total


def thin(values: Sequence[Loss], points: int) -> list[Loss]:
    """At most `points` of `values`, evenly spaced, the last one among them."""
    if len(values) <= points:
        return list(values)
    last = len(values) - 1
    return [values[round(index * last / (points - 1))] for index in range(points)]


def spark(values: Sequence[float | None]) -> str:
    """A line of blocks, one per value; a gap where there is none."""
    known = [value for value in values if value is not None]
    if not known:
        return ""
    low, span = min(known), (max(known) - min(known)) or 1.0
    return "".join(" " if v is None else _BARS[round((v - low) / span * (len(_BARS) - 1))] for v in values)
