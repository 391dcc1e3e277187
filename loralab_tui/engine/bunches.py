"""Events handed on in bunches: a replay of thousands must not become thousands of messages."""

import asyncio
from collections.abc import Callable
from typing import Any

GATHER_S = 0.05

Event = dict[str, Any]


class Bunches:
    """Collects events of one run for a moment, then gives `(run, events)` to `hand_on`."""

    def __init__(self, hand_on: Callable[[str, list[Event]], object]) -> None:
        self._hand_on = hand_on
        self._run = ""
        self._events: list[Event] = []
        self._timer: asyncio.TimerHandle | None = None

    def add(self, run: str, event: Event) -> None:
        if run != self._run:
            self.flush()
            self._run = run
        self._events.append(event)
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(GATHER_S, self.flush)

    def flush(self) -> None:
        """Now; called before anything else is said, so that the order stays."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._events:
            events, self._events = self._events, []
            self._hand_on(self._run, events)
