"""A run being trained: a generator of events. Who drives it (engine, test, notebook) is not its business.

Whatever happened is in the run's events.jsonl before it is yielded. Between micro-batches the generator yields TICK,
so that its driver can answer a question, look at the clock or ask for a stop. When the last event is yielded the run
has no owner any more: who reads it may resume the run at once.
"""

from collections.abc import Callable, Generator
from typing import Any

from loralab_core.architecture.counts import parameter_count
from loralab_core.errors import BadInput, LoraLabError, explain_os_error
from loralab_core.lora.loaded import LoadedModel
from loralab_core.runs.directory import RunDirectory
from loralab_core.runs.events import Event, EventLog, live, read
from loralab_core.runs.owner import claim, release
from loralab_core.text.errors import Cancelled
from loralab_core.training.checkpoint import write_result
from loralab_core.training.environment import set_up_arithmetic, set_up_kernels
from loralab_core.training.memory import reset_peak
from loralab_core.training.peek import Row, last_batch
from loralab_core.training.prepare import prepare_run
from loralab_core.training.report import explain, failure_facts, final_event, prepared_event
from loralab_core.training.shortage import explained, step_reserve
from loralab_core.training.start import (
    as_started_from,
    check_change,
    check_opened,
    check_steps,
    check_unchanged,
    continuation,
    make_trainer,
    record_prepared,
    settings,
)
from loralab_core.training.steps import Events, Steps
from loralab_core.training.trainer import Trainer


class Training:
    """One run being trained: `events()` is the generator, `stop()` ends it at the next micro-batch."""

    def __init__(self, run: RunDirectory, lm: LoadedModel, extend_to: int | None = None):
        """Raises LoraLabError when another process writes this run or its files cannot be written."""
        claim(run)
        self.run, self.lm, self.extend_to = run, lm, extend_to
        self.stopping, self.why = False, ""
        self.trainer: Trainer | None = None
        self.steps: Steps | None = None
        self.make_room: Callable[[], bool] = lambda: False  # of who drives this, asked when memory runs out
        try:
            self.log = EventLog(run.events_path)
        except OSError as error:
            release(run)
            raise LoraLabError(explain_os_error(error, f"write {run.events_path}")) from error

    @property
    def step(self) -> int:
        return self.trainer.step if self.trainer else 0

    @property
    def reserve(self) -> int:
        """Bytes of what is free that the next step will need: as much as the highest so far, by forecast before it."""
        return step_reserve(self.trainer) if self.trainer else 0

    def stop(self, why: str = "") -> None:
        self.stopping, self.why = True, why

    def note(self, kind: str) -> Event:
        """Write down what was done to the run from outside ("paused", "continued"), so that its curve can show it."""
        if self.steps:
            self.steps.go_on()
        return self.log.append({"event": kind, "at_step": self.step})

    def change(self, steps: int | None, lr: float | None) -> Event:
        """Another length or highest learning rate from the next step on. Raises BadInput."""
        trainer = check_change(self.run, self.trainer, steps, lr)
        wanted = {key: value for key, value in (("steps", steps), ("lr", lr)) if value is not None}
        event = self.log.append({"event": "changed", "at_step": trainer.step, **wanted})  # first: resuming reads it
        self.log.sync()  # as a checkpoint is, which the change may be part of
        trainer.course.change(trainer.step, steps, lr)
        return event

    def last_batch(self, rows: int) -> tuple[int, list[Row]]:
        """The step trained last and its first `rows` windows. Raises BadInput before there is one."""
        if self.trainer is None or self.step == 0:
            raise BadInput(f"{self.run.path} has not trained a batch yet; ask again after its first step")
        return self.step, last_batch(self.trainer, self.lm.text(), rows)

    def events(self) -> Events:
        """Everything from here to the end of the run. A failure is an event first and is raised then."""
        failure: Exception | None = None
        try:
            last = yield from self._whole_run()
        except Cancelled:
            last = self._final("stopped", self.why or "stopped before the first step")
        except Exception as error:
            failure = explained(error, self.trainer, self.lm)
            last = self._final("failed", explain(failure, self.run), **failure_facts(failure))
        finally:
            self.log.close()
            release(self.run)
        yield last
        if failure:
            raise failure

    def _whole_run(self) -> Generator[Event, None, Event]:
        """Returns the last event."""
        past = live(read(self.run.events_path))
        config, before = settings(self.run)
        if not before:
            config = as_started_from(config)
            check_opened(config, self.lm)
        set_up_arithmetic(config, before.get("environment", {}).get("threads"))
        set_up_kernels(self.lm.base, self.lm.device, before.get("paths"), parameter_count(self.lm.model.config))
        check_unchanged(config, before, self.lm.directory, self.run)
        prepared = yield from prepare_run(config, self.lm, lambda: self.stopping, before.get("prompts_as"))
        if not before:
            record_prepared(self.run, prepared, self.lm)
        self.trainer = trainer = make_trainer(prepared, self.lm, self.run, past)
        check_steps(self.run, self.extend_to, trainer.step)
        prepared.prompts.skip(past, trainer.step)
        reset_peak(self.lm.device)
        for event in continuation(trainer, past, before, self.extend_to):
            yield self.log.append(event)
        yield self.log.append(prepared_event(trainer, prepared))
        self.steps = Steps(trainer, prepared, self.run, self.log, lambda: self.stopping, self.make_room)
        yield from self.steps.events()
        write_result(trainer, self.run)
        ended = "done" if trainer.step >= trainer.steps else "stopped"
        return self._final(ended, self.why if ended == "stopped" else "")

    def _final(self, ending: str, why: str, **more: Any) -> Event:
        return self.log.append({**final_event(ending, self.run, self.trainer, self.lm.device, why), **more})
