"""The summaries of all runs, asked for again and again: only what is new is read."""

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field

import msgspec

from loralab_core.errors import BadInput
from loralab_core.runs.directory import RunDirectory, list_runs
from loralab_core.runs.events import Event, EventReader
from loralab_core.runs.history import History
from loralab_core.runs.record import RunRecord
from loralab_core.runs.summary import Summary, standing, summary_of

Stamp = tuple[int, int]


@dataclass
class _Known:
    """One run. The history is kept only while events can come: 32 bytes a step add up."""

    reader: EventReader
    history: History | None = field(default_factory=History)
    end: Event | None = None
    stamp: Stamp = (-1, 0)
    summary: Summary | None = None


class Summaries:
    """One for each list that is looked at; used by one thread at a time."""

    def __init__(self) -> None:
        self._known: dict[RunDirectory, _Known] = {}
        self.events_read = 0  # in all; says that nothing is read twice

    def read(self) -> Iterator[Summary]:
        """The newest run first. Where no event came since the last time, no file of events is opened."""
        runs = list_runs()[::-1]
        self._known = {run: self._known[run] for run, _ in runs if run in self._known}
        for run, record in runs:
            with suppress(BadInput):
                yield self._summary(run, record)

    def _summary(self, run: RunDirectory, record: RunRecord) -> Summary:
        stamp = _stamp(run)
        known = self._known.get(run)
        if known is not None and known.summary is not None and known.stamp == stamp:
            summary = self._unchanged(run, record, known, known.summary)
        else:
            known, summary = self._read_on(run, record, known)
        known.summary, known.stamp = summary, stamp
        if summary.status != "running":
            known.history = None
        return summary

    def _read_on(self, run: RunDirectory, record: RunRecord, known: _Known | None) -> tuple[_Known, Summary]:
        if known is None or known.history is None:
            known = self._known[run] = _Known(EventReader(run.events_path))
        history = known.history or History()
        for events in known.reader.pieces():
            history.fold(events)
            self.events_read += len(events)
        known.history, known.end = history, history.end
        return known, summary_of(run, record, history)

    def _unchanged(self, run: RunDirectory, record: RunRecord, known: _Known, before: Summary) -> Summary:
        """A run gets another name, and its process comes and goes, without an event."""
        return msgspec.structs.replace(before, name=record.name, **standing(run, known.end))


def _stamp(run: RunDirectory) -> Stamp:
    try:
        found = run.events_path.stat()
    except OSError:
        return (0, 0)
    return (found.st_size, found.st_mtime_ns)
