"""A run as its events tell it: the only source of every number on the training side of the screen."""

import math
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from typing import Any

from loralab_core.processes import Identity
from loralab_tui import words
from loralab_tui.chat.samples import Samples
from loralab_tui.runs.curve import Curve

Event = dict[str, Any]
DECIDED = ("seq_len", "micro_batch", "base")  # settings that the engine fixes when they are left open


class Phase(Enum):
    PREPARING = "preparing"
    TRAINING = "training"
    PAUSED = "paused"
    STOPPING = "stopping"
    DONE = "done"
    STOPPED = "stopped"
    FAILED = "failed"
    LOST = "lost"

    @property
    def live(self) -> bool:
        """An engine is at work on it."""
        return self in (Phase.PREPARING, Phase.TRAINING, Phase.PAUSED, Phase.STOPPING)


@dataclass(frozen=True)
class Mark:
    """Something that happened at a step and shows on the curve's axis: "resumed", "changed" or "paused"."""

    step: int
    kind: str


@dataclass
class RunView:
    """Fold of a run's events. `apply` takes each once, in order; `revision` counts what could change a picture."""

    directory: str
    config: Event = field(default_factory=dict)
    phase: Phase = Phase.PREPARING
    total_steps: int | None = None
    curve: Curve = field(default_factory=Curve)
    validation: list[tuple[int, float]] = field(default_factory=list)
    marks: list[Mark] = field(default_factory=list)
    samples: Samples = field(default_factory=Samples)
    log: deque[str] = field(default_factory=lambda: deque(maxlen=200))
    numbers: Event = field(default_factory=dict)
    doing: str = "starting"
    share: float | None = None
    why: str = ""
    kind: str = ""  # of a failure, as its event says
    remedies: tuple[Event, ...] | None = None  # settings that would help, where its event says
    writer: Identity | None = None  # who trains it, where no engine here can be asked about it
    adapter: str | None = None
    checkpoint: int | None = None
    seq: int = 0
    revision: int = 0
    _gap: tuple[int, int] | None = None  # the steps that the last line of the log names, if it tells of a gap

    @property
    def name(self) -> str:
        return str(self.config.get("name") or Path(self.directory).name)

    @property
    def full(self) -> bool:
        """It trains all weights, in an engine of its own."""
        return bool(self.config.get("mode") == "full")

    @property
    def step(self) -> int:
        return self.curve.steps[-1] if self.curve.steps else 0

    @property
    def best(self) -> tuple[int, float] | None:
        return min(self.validation, key=lambda mark: mark[1], default=None)

    def apply(self, event: Event) -> None:
        """Events already seen (the seams of a replay) change nothing; transient ones carry no number."""
        number = event.get("seq")
        if number is not None and number <= self.seq:
            return
        self.revision += 1
        self.seq = number or self.seq
        handler: Callable[[Event], None] | None = getattr(self, f"_on_{event.get('event')}", None)
        if handler is not None:
            handler(event)

    def say(self, text: str) -> None:
        """A line of its own: what came before it is no longer the last one."""
        self._gap = None
        self.log.append(text)

    def _on_prepared(self, event: Event) -> None:
        self.phase = Phase.PREPARING
        self.total_steps = event.get("steps") or self.total_steps
        self.config = self.config | {name: event[name] for name in DECIDED if event.get(name)}
        self.doing = "measuring the model before step 1" if not len(self.curve) else "going on"
        self.share = None
        corpus = f"○ {event.get('corpus')}"
        if event.get("corpus") and corpus not in self.log:
            self.say(corpus)

    def _on_loading(self, event: Event) -> None:
        self._progress("reading the model", event)

    def _on_tokenizing(self, event: Event) -> None:
        self._progress("reading the corpus", event)

    def _progress(self, what: str, event: Event) -> None:
        done, total = event.get("done_bytes"), event.get("total_bytes")
        self.doing = str(event.get("what") or what)
        self.share = done / total if done is not None and total else None

    def _on_step(self, event: Event) -> None:
        if self.phase is not Phase.STOPPING:
            self.phase = Phase.TRAINING
        self.numbers = event
        loss = event.get("loss")
        self.curve.add(int(event["step"]), loss, event.get("tokens"))
        if loss is None or not math.isfinite(loss):
            self._say_gap(int(event["step"]))

    def _say_gap(self, step: int) -> None:
        """One line for each stretch of steps without a number."""
        first = step
        if self._gap is not None and self._gap[1] == step - 1:
            first = self._gap[0]
            self.log.pop()
        self.say(f"✕ step {step if first == step else f'{first}–{step}'}: the loss was not a number")
        self._gap = (first, step)

    def _on_eval(self, event: Event) -> None:
        loss = event.get("loss")
        if loss is None or not math.isfinite(loss):
            self.say(f"◆ step {event.get('step')}: validation was not a number")
            return
        self.validation.append((int(event["step"]), loss))
        perplexity = f"  perplexity {words.real(event.get('perplexity'), 1)}" if event.get("perplexity") else ""
        self.say(f"◆ step {event['step']}: validation {loss:.2f}{perplexity}")

    def _on_checkpoint(self, event: Event) -> None:
        self.checkpoint = int(event["step"])
        if self.log and self.log[-1].startswith(f"◆ step {self.checkpoint}:"):
            self.log[-1] += "  saved"
        else:
            self.say(f"▪ step {self.checkpoint}: saved")

    def _on_sample(self, event: Event) -> None:
        self.samples.add(event)

    def _on_resumed(self, event: Event) -> None:
        step = int(event.get("step", 0))
        self.curve.cut(step)
        self.samples.cut(step)
        self.validation = [mark for mark in self.validation if mark[0] <= step]
        self.marks = [mark for mark in self.marks if mark.step <= step] + [Mark(step, "resumed")]
        self.phase = Phase.PREPARING
        self.why, self.kind, self.remedies = "", "", None
        self.total_steps = event.get("steps") or self.total_steps
        self.say(f"▲ resumed from step {step}")

    def _on_changed(self, event: Event) -> None:
        step = int(event.get("at_step") or self.step)
        self.total_steps = event.get("steps") or self.total_steps
        self.config = self.config | {name: event[name] for name in DECIDED if event.get(name)}
        self.marks.append(Mark(step, "changed"))
        changes = ", ".join(f"{key} {event[key]}" for key in event if key not in ("event", "seq", "time", "at_step"))
        self.say(f"△ step {step}: changed {changes}")

    def _on_warning(self, event: Event) -> None:
        self.say(f"! {event.get('sentence', '')}")

    def _on_paused(self, event: Event) -> None:
        self.phase = Phase.PAUSED
        step = int(event.get("at_step") or self.step)
        self.marks.append(Mark(step, "paused"))
        self.say(f"‖ step {step}: paused")

    def _on_continued(self, event: Event) -> None:
        self.phase = Phase.TRAINING

    def _on_done(self, event: Event) -> None:
        self._end(Phase.DONE, event)

    def _on_stopped(self, event: Event) -> None:
        self._end(Phase.STOPPED, event)

    def _on_failed(self, event: Event) -> None:
        self._end(Phase.FAILED, event)

    def _end(self, phase: Phase, event: Event) -> None:
        self.phase = phase
        self.adapter = event.get("adapter") or self.adapter
        self.why = str(event.get("why") or "")
        self.kind = str(event.get("kind") or "")
        self.remedies = tuple(event["remedies"]) if "remedies" in event else None
        self.numbers = self.numbers | {k: event[k] for k in ("seconds", "tokens") if k in event}
