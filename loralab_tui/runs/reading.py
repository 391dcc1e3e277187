"""A run read from its files for looking at, without an engine: its record, and its events as far as they go."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from loralab_core.runs.directory import RunDirectory
from loralab_core.runs.events import Event, EventReader
from loralab_core.runs.history import History
from loralab_core.runs.record import RunRecord
from loralab_tui import words
from loralab_tui.plan import DEFAULTS
from loralab_tui.runs.view import RunView

KEPT = 4
OF_THE_PLACE = ("model", "corpus", "name", "run_dir", "device", "threads", "prompts")  # said elsewhere, or no settings


@dataclass
class Reading:
    """`view` belongs to whoever shows it; another thread may `poll` and hand on the events, but not apply them."""

    record: RunRecord
    view: RunView
    history: History
    reader: EventReader

    def poll(self) -> list[Event]:
        return self.reader.poll()

    def apply(self, events: list[Event]) -> None:
        self.history.fold(events)
        for event in events:
            self.view.apply(event)


class Shelf(dict[str, Reading]):
    """The runs looked at last, by their directory: going back to one reads only what is new."""

    def put(self, path: str, reading: Reading, events: list[Event]) -> None:
        reading.apply(events)
        self.pop(path, None)
        self[path] = reading
        for old in list(self)[:-KEPT]:
            del self[old]


def read_run(path: str) -> Reading:
    """The whole run, as a thread reads it. Raises BadInput if it is none (any more)."""
    run = RunDirectory(Path(path))
    record = run.record()
    config = (record.prepared or {}).get("config") or record.config
    view = RunView(path, {**config, "name": record.name or record.id})
    reading = Reading(record, view, History(), EventReader(run.events_path))
    for events in reading.reader.pieces():
        reading.apply(events)
    return reading


def settings(record: RunRecord) -> dict[str, Any]:
    """What was decided for the run, as far as it is about how it learns."""
    return _about_learning((record.prepared or {}).get("config") or record.config)


def unusual(record: RunRecord) -> list[str]:
    """The settings that differ from the defaults: "rank 16", "lr 1e-4". What `auto` became is no difference."""
    return [said(name, value) for name, value in _about_learning(record.config).items() if value != _default(name)]


def _about_learning(config: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in config.items() if name in DEFAULTS and name not in OF_THE_PLACE}


def _default(name: str) -> Any:
    """As it stands in run.json, where a tuple is a list."""
    value = DEFAULTS[name]
    return list(value) if isinstance(value, tuple) else value


def said(name: str, value: Any) -> str:
    return f"{name.replace('_', ' ')} {plain(value)}"


def plain(value: Any) -> str:
    """A setting as people write it."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return words.rate(value) if 0 < abs(value) < 0.001 else f"{value:g}"
    return words.DASH if value is None else str(value)
