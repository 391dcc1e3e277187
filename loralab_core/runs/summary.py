"""A run in one line: how it stands, from its events and its owner alone."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import msgspec

from loralab_core.runs.checkpoints import validation_losses
from loralab_core.runs.directory import RunDirectory
from loralab_core.runs.events import FINAL, Event, live, read
from loralab_core.runs.owner import owner
from loralab_core.runs.record import RunRecord

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
    record = record or run.record()
    events = live(read(run.events_path))
    steps = [event for event in events if event["event"] == "step"]
    losses = [event.get("loss") for event in steps]
    return Summary(
        id=record.id,
        path=str(run.path),
        name=record.name,
        created=record.created,
        model=str(record.config.get("model", "")),
        corpus=list(record.config.get("corpus", ())),
        mode=str(record.config.get("mode", "adapter")),
        step=steps[-1]["step"] if steps else 0,
        steps=planned_steps(record, events),
        loss=losses[-1] if losses else None,
        tokens=(steps[-1].get("tokens") or 0) if steps else 0,
        seconds=_seconds(events),
        disk_bytes=disk_bytes(run.path),
        curve=thin(losses, CURVE_POINTS),
        **_standing(run, events),
        **_best(events),
    )


def status(run: RunDirectory, events: Sequence[Event]) -> Status:
    """How `run` stands: ended as its last event says, running while its owner lives, interrupted otherwise."""
    found: Status = _standing(run, events)["status"]
    return found


def ending(events: Sequence[Event]) -> Event | None:
    """The event a run ended with, unless it was resumed since."""
    for event in reversed(events):
        if event["event"] in FINAL:
            return event
        if event["event"] in ("resumed", "step"):
            return None
    return None


def planned_steps(record: RunRecord, events: Sequence[Event]) -> int | None:
    """How many steps the run is to have: the newest word about it counts (a finished run can be extended)."""
    said = [event["steps"] for event in events if event["event"] in ("prepared", "changed") and event.get("steps")]
    known = said[-1] if said else record.config.get("steps")
    return int(known) if known else None


def _standing(run: RunDirectory, events: Sequence[Event]) -> dict[str, Any]:
    last = ending(events)
    if last is not None and not _claimed_since(run, last["time"]):
        return {"status": _ENDED[last["event"]], "why": last.get("why")}
    by = owner(run)
    if by is None:
        return {"status": "interrupted"}
    return {"status": "running", "host": None if by.is_here else by.host}


def _claimed_since(run: RunDirectory, ended: float) -> bool:
    """Whether a process took the run up again after it had ended: its model or corpus is being read."""
    try:
        return run.owner_path.stat().st_mtime > ended and owner(run) is not None
    except OSError:
        return False


def _best(events: Sequence[Event]) -> dict[str, Any]:
    losses = validation_losses(events)
    if not losses:
        return {}
    step = min(losses, key=lambda one: losses[one])
    perplexities = {event["step"]: event.get("perplexity") for event in events if event["event"] == "eval"}
    return {"best_step": step, "val_loss": losses[step], "val_perplexity": perplexities[step]}


def _seconds(events: Sequence[Event]) -> float:
    last = ending(events)
    if last is not None and last.get("seconds"):
        return float(last["seconds"])
    total, before = 0.0, None
    for event in events:
        if event["event"] == "step":
            total += event["time"] - before if before else 0.0
            before = event["time"]
        elif event["event"] == "resumed":
            before = None
    return total


def disk_bytes(path: Path) -> int:
    """What lies below `path`; files that disappear meanwhile do not count."""
    total = 0
    for file in path.rglob("*"):
        try:
            total += file.lstat().st_size
        except OSError:
            continue
    return total


def thin(values: Sequence[float | None], points: int) -> list[float | None]:
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
