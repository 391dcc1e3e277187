"""Coming back to a run, and leaving it: what is read and written for the card that tells what is new. For a thread."""

import time

from loralab_core.runs.directory import RunDirectory
from loralab_core.runs.events import EventReader
from loralab_tui.runs.away import Away, look_back
from loralab_tui.runs.seen import last_seen, remember
from loralab_tui.runs.view import RunView


def leave(run: RunView | None) -> None:
    """`run` leaves the screen, or may be about to."""
    if run is not None and run.seq:
        remember(run.directory, run.seq)


def come_back(run: RunDirectory, before: RunView | None) -> Away | None:
    """`run` comes on the screen in place of `before`. None where it was there already, or for the first time."""
    leave(before)
    seen = last_seen(str(run.path))
    if seen is None or (before is not None and before.directory == str(run.path)):
        return None
    return look_back(EventReader(run.events_path).pieces(), seen, time.time())
