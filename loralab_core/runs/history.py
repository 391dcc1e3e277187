"""What the events of a run add up to, folded one by one: nothing is read twice while the file grows."""

import math
from array import array
from bisect import bisect_right
from collections.abc import Iterable, Sequence
from typing import Any

from loralab_core.runs.events import FINAL, Event


def ending(events: Sequence[Event]) -> Event | None:
    """The event a run ended with, unless it was resumed since."""
    for event in reversed(events):
        if event["event"] in FINAL:
            return event
        if event["event"] in ("resumed", "step"):
            return None
    return None


class History:
    """The steps and evaluations that count, and the newest word on everything else.

    32 bytes a step. `resumed{step: k}` voids what stands above k, as `events.live` does for a whole list.
    """

    def __init__(self) -> None:
        self.steps = array("q")
        self.losses = array("d")  # NaN where there was no finite loss
        self.tokens = array("q")  # cumulative
        self.seconds = array("d")  # cumulative, from the first step on, times between two parts left out
        self.evals: dict[int, Event] = {}
        self.planned: int | None = None
        self.end: Event | None = None
        self.paused = False
        self._before: float | None = None  # the time of the step before, within this part

    def fold(self, events: Iterable[Event]) -> None:
        for event in events:
            kind = event["event"]
            if kind == "step":
                self._step(event)
            elif kind == "eval":
                self.evals.pop(event["step"], None)
                self.evals[event["step"]] = event
            elif kind == "resumed":
                self._cut(event.get("step", 0))
            elif kind in FINAL:
                self.end = event
            self._note(kind, event)

    def _note(self, kind: str, event: Event) -> None:
        if kind in ("prepared", "changed") and event.get("steps"):
            self.planned = int(event["steps"])
        if kind in ("paused", "continued", "resumed") or kind in FINAL:
            self.paused = kind == "paused"

    def _step(self, event: Event) -> None:
        loss, before = event.get("loss"), self._before
        spent = self.seconds[-1] if self.seconds else 0.0
        self.steps.append(event["step"])
        self.losses.append(math.nan if loss is None else loss)
        self.tokens.append(event.get("tokens") or 0)
        self.seconds.append(spent + (event["time"] - before if before is not None else 0.0))
        self._before = event["time"]
        self.end = None

    def _cut(self, last: int) -> None:
        keep = bisect_right(self.steps, last)
        for column in (self.steps, self.losses, self.tokens, self.seconds):
            del column[keep:]
        self.evals = {step: event for step, event in self.evals.items() if step <= last}
        self.end = None
        self._before = None

    @property
    def spent(self) -> float:
        """Seconds of training."""
        if self.end is not None and self.end.get("seconds"):
            return float(self.end["seconds"])
        return self.seconds[-1] if self.seconds else 0.0

    @property
    def best(self) -> Event | None:
        """The evaluation with the lowest loss; the earlier one of two alike. Those that gave no number are left out."""
        known = [event for event in self.evals.values() if event.get("loss") is not None]
        return min(known, key=lambda event: float(event["loss"]), default=None)

    def figures(self) -> dict[str, Any]:
        """The fields of a Summary that come from the events, but for its curve and how it stands."""
        best, last = self.best, self.losses[-1] if self.losses else math.nan
        return {
            "step": self.steps[-1] if self.steps else 0,
            "loss": None if math.isnan(last) else last,
            "val_loss": best["loss"] if best else None,
            "val_perplexity": best.get("perplexity") if best else None,
            "best_step": best["step"] if best else None,
            "tokens": self.tokens[-1] if self.tokens else 0,
            "seconds": self.spent,
        }
