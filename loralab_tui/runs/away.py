"""What happened in a run since it was last looked at: from its events alone, and the place one had come to."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from loralab_core.runs.events import FINAL, Event
from loralab_core.runs.history import History
from loralab_tui import words
from loralab_tui.runs.seen import Seen

ENDINGS = {"done": "It is done", "stopped": "It was stopped", "failed": "It failed"}


@dataclass
class Away:
    """`before` and `after`: (step, last loss). `happened`: sentences in order; empty where training just went on.
    `ended`: how it ended, if it did."""

    seconds: float
    before: tuple[int, float | None]
    after: tuple[int, float | None]
    best: tuple[int, float] | None
    happened: list[str] = field(default_factory=list)
    ended: str = ""

    @property
    def title(self) -> str:
        return f"While you were away ({span(self.seconds)})"

    @property
    def text(self) -> str:
        parts = [*self._steps(), *self._losses()]
        if self.best is not None:
            parts.append(f"best validation {self.best[1]:.2f} at step {self.best[0]}")
        told = ", ".join(parts)
        return " ".join([f"{told[0].upper()}{told[1:]}.", *self.happened])

    def _steps(self) -> list[str]:
        before, after = self.before[0], self.after[0]
        return [f"steps {before} → {after}" if before != after else f"still at step {after}"]

    def _losses(self) -> list[str]:
        before, after = self.before[1], self.after[1]
        if after is None:
            return []
        return [f"loss {before:.2f} → {after:.2f}" if before is not None and before != after else f"loss {after:.2f}"]


def look_back(pieces: Iterable[list[Event]], seen: Seen, now: float) -> Away | None:
    """`pieces`: all events of the run in order. None where nothing came that is worth telling."""
    history = History()
    before: dict[str, Any] | None = None
    news = _News()
    for events in pieces:
        history.fold(event for event in events if event["seq"] <= seen.seq)
        fresh = [event for event in events if event["seq"] > seen.seq]
        if fresh and before is None:
            before = history.figures()
            news = _News(ended=history.end is not None, reached=before["step"])
        history.fold(fresh)
        news.hear(fresh)
    if before is None or not news.worth_it:
        return None
    now_at, best = history.figures(), history.best
    return Away(
        seconds=max(0.0, now - seen.time),
        before=(before["step"], before["loss"]),
        after=(now_at["step"], now_at["loss"]),
        best=(best["step"], best["loss"]) if best else None,
        happened=news.sentences(),
        ended=news.ending(),
    )


@dataclass
class _News:
    """What is not a step. `ended`: whether the run had an ending of its own when the next event came."""

    ended: bool = False
    reached: int = 0
    worth_it: bool = False
    gaps: int = 0
    told: list[str] = field(default_factory=list)
    end: Event | None = None

    def hear(self, events: list[Event]) -> None:
        for event in events:
            kind = event["event"]
            self.worth_it = self.worth_it or kind in ("step", "eval", "resumed", "changed", "paused") or kind in FINAL
            if kind == "step":
                self.reached, self.ended, self.end = max(self.reached, event["step"]), False, None
                self.gaps += event.get("loss") is None
            elif kind == "resumed":
                self._resumed(event.get("step", 0))
            elif kind == "changed":
                self.told.append(_changed(event))
            elif kind in FINAL:
                self.ended, self.end = True, event

    def _resumed(self, step: int) -> None:
        again = self.reached - step
        lost = f"; {_counted(again, 'step')} had to be done again" if again > 0 else ""
        if self.ended:
            self.told.append(f"Resumed from step {step} after it had ended.")
        else:
            self.told.append(f"Recovered from step {step} after the engine was gone{lost}.")
        self.ended, self.end, self.reached = False, None, step

    def sentences(self) -> list[str]:
        told = list(self.told)
        if self.gaps:
            told.append(f"The loss of {_counted(self.gaps, 'step')} was not a number.")
        return told

    def ending(self) -> str:
        if self.end is None:
            return ""
        why = words.one_line(str(self.end.get("why") or "")).rstrip(".")
        return f"{ENDINGS[self.end['event']]}{f': {why}' if why else ''}."


def _changed(event: Event) -> str:
    parts = [f"{event['steps']} steps in all" if event.get("steps") else ""]
    parts += [f"learning rate {words.rate(event['lr'])}" if event.get("lr") else ""]
    said = ", ".join(part for part in parts if part) or "its settings"
    return f"Changed at step {event.get('at_step', 0)}: {said}."


def span(seconds: float) -> str:
    """A time in the two units that matter: "40 s", "12 min", "1 h 12 min", "2 days 3 h"."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    if days:
        return f"{_counted(days, 'day')} {hours} h" if hours else _counted(days, "day")
    if hours:
        return f"{hours} h {minutes} min" if minutes else f"{hours} h"
    return f"{minutes} min" if minutes else f"{rest} s"


def _counted(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"
