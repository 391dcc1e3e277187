"""Events written into a run through the real log."""

from typing import Any

from loralab_core.runs.directory import RunDirectory
from loralab_core.runs.events import EventLog


def write(run: RunDirectory, *events: dict[str, Any]) -> None:
    log = EventLog(run.events_path)
    for event in events:
        log.append(event)
    log.close()
