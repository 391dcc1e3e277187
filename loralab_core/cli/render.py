"""Three ways to show a run as it goes: JSON lines, plain lines, and a progress bar for a person at a terminal."""

import sys
import time
from typing import Any, Protocol

from loralab_core.cli.event_text import describe, describe_step, rate
from loralab_core.cli.terminal import duration, number, print_json, say, size
from loralab_core.runs.events import FINAL, Event

PLAIN_EVERY_S = 2.0


class Renderer(Protocol):
    """Shows events in their order; `close` leaves the terminal as it was."""

    def event(self, event: Event) -> None: ...

    def loading(self, done: int, total: int, what: str) -> None: ...

    def note(self, sentence: str) -> None: ...

    def failure(self, why: str) -> None:
        """The run that was followed failed; its event has been shown already."""
        ...

    def close(self) -> None: ...


def choose_renderer(as_json: bool) -> Renderer:
    if as_json:
        return JsonLines()
    return Bar() if sys.stderr.isatty() else PlainLines()


class JsonLines:
    """Every event of events.jsonl as one line on stdout; progress that is not in the file is left out.

    An end is always told, also where the disk refused to write it down.
    """

    def event(self, event: Event) -> None:
        if "seq" in event or event["event"] in FINAL:
            print_json(event)

    def loading(self, done: int, total: int, what: str) -> None:
        return

    def note(self, sentence: str) -> None:
        say(sentence)

    def failure(self, why: str) -> None:
        say(" ".join(why.split()))

    def close(self) -> None:
        return


class PlainLines:
    """For logs: a line for everything notable, and for a step every other second."""

    def __init__(self) -> None:
        self._steps: int | None = None
        self._shown = 0.0

    def event(self, event: Event) -> None:
        if event.get("steps") and event["event"] not in FINAL:
            self._steps = event["steps"]
        if event["event"] == "step":
            self._step(event)
        elif line := describe(event):
            say(line)

    def _step(self, event: Event) -> None:
        now = time.monotonic()
        if now - self._shown >= PLAIN_EVERY_S or event["step"] == self._steps:
            self._shown = now
            say(describe_step(event, self._steps))

    def loading(self, done: int, total: int, what: str) -> None:
        """Only where it takes a while, and not that it was abandoned."""
        if not total:
            return
        now = time.monotonic()
        self._shown = self._shown or now
        if now - self._shown >= PLAIN_EVERY_S:
            self._shown = now
            say(f"{what}: {size(done)} of {size(total)}")

    def note(self, sentence: str) -> None:
        say(sentence)

    def failure(self, why: str) -> None:
        return

    def close(self) -> None:
        return


class Bar:
    """One line that moves at the bottom: opening the model, reading the corpus, then the steps."""

    def __init__(self) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn

        self._console = Console(stderr=True, highlight=False)
        columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[right]}"))
        self._progress = Progress(*columns, console=self._console, transient=True)
        self._progress.start()
        self._task: Any = None
        self._kind = ""
        self._steps: int | None = None

    def event(self, event: Event) -> None:
        kind = event["event"]
        if kind == "tokenizing":
            rows = f"{event.get('rows', 0):,} rows, {event.get('tokens', 0):,} tokens"
            self._show("reading the corpus", event.get("done_bytes", 0), event.get("total_bytes"), rows)
        elif kind == "step":
            done = event["step"]
            right = f"{rate(event)}  {duration(event.get('eta_s'))}"
            self._show("training", done, self._steps, right, f"loss {number(event.get('loss'))}")
        elif event.get("steps") and kind not in FINAL:
            self._steps = event["steps"]
            at = event.get("step") or event.get("at_step") or 0
            self._show("training", at, self._steps, "")
        if kind in FINAL:
            self._hide()
        if line := describe(event):
            self._console.print(line, markup=False, soft_wrap=True)

    def loading(self, done: int, total: int, what: str) -> None:
        self._show(what, done, total, f"{size(done)} of {size(total)}")
        if done >= total:
            self._hide()

    def note(self, sentence: str) -> None:
        self._console.print(sentence, markup=False, soft_wrap=True)

    def failure(self, why: str) -> None:
        return

    def close(self) -> None:
        self._progress.stop()

    def _show(self, kind: str, done: float, total: float | None, right: str, middle: str = "") -> None:
        """Move the bar of `kind`; another kind replaces it."""
        if self._kind != kind:
            self._hide()
            self._task, self._kind = self._progress.add_task(kind, total=total, right=""), kind
        count = f"{kind} {done:.0f}/{total:.0f}" if kind == "training" and total else kind
        said = f"{count}  {middle}".rstrip()
        self._progress.update(self._task, completed=done, total=total, description=said, right=right)

    def _hide(self) -> None:
        if self._task is not None:
            self._progress.remove_task(self._task)
        self._task, self._kind = None, ""
