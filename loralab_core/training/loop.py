"""The training loop: a generator of events. Who drives it (engine, test, notebook) is not its business.

Whatever happened is in the run's events.jsonl before it is yielded. Between micro-batches the generator yields TICK,
so that its driver can answer a question, look at the clock or ask for a stop. When the last event is yielded the run
has no owner any more: who reads it may resume the run at once.
"""

import time
from collections.abc import Callable, Generator
from typing import Any

from loralab_core.architecture.counts import parameter_count
from loralab_core.device_memory import give_back
from loralab_core.errors import BadInput, LoraLabError, explain_os_error
from loralab_core.hardware.exhaustion import is_out_of_memory
from loralab_core.lora.loaded import LoadedModel
from loralab_core.runs.checkpoints import checkpoint_path, retire_checkpoints
from loralab_core.runs.directory import RunDirectory
from loralab_core.runs.events import Event, EventLog, live, read
from loralab_core.runs.owner import claim, release
from loralab_core.text.errors import Cancelled
from loralab_core.training.checkpoint import write_checkpoint, write_result
from loralab_core.training.environment import set_up_arithmetic, set_up_kernels
from loralab_core.training.memory import reset_peak
from loralab_core.training.peek import Row, last_batch
from loralab_core.training.prepare import Prepared, prepare_run
from loralab_core.training.prompts import Prompts, answer
from loralab_core.training.report import Clock, explain, failure_facts, final_event, prepared_event, step_event
from loralab_core.training.shortage import Retry, explained, step_reserve
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
from loralab_core.training.tick import TICK
from loralab_core.training.trainer import StepResult, Trainer
from loralab_core.training.validate import validate

UNUSABLE_STEPS = 10  # steps in a row without a finite gradient after which going on makes no sense

Events = Generator[Event, None, None]


class Training:
    """One run being trained: `events()` is the generator, `stop()` ends it at the next micro-batch."""

    def __init__(self, run: RunDirectory, lm: LoadedModel, extend_to: int | None = None):
        """Raises LoraLabError when another process writes this run or its files cannot be written."""
        claim(run)
        self.run, self.lm, self.extend_to = run, lm, extend_to
        self.stopping, self.why = False, ""
        self.trainer: Trainer | None = None
        self.clock: Clock | None = None
        self.make_room: Callable[[], bool] = lambda: False  # of who drives this, asked when memory runs out
        self.unusable = 0
        self.told = False  # of the trouble that the event log has
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
        if self.clock:
            self.clock.go_on()  # a pause is no part of what a step takes
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
        if trainer.step == 0:
            yield from self._evaluate(trainer, prepared)
        yield from self._sample(trainer, prepared.prompts)
        yield from self._steps(trainer, prepared)
        write_result(trainer, self.run)
        ended = "done" if trainer.step >= trainer.steps else "stopped"
        return self._final(ended, self.why if ended == "stopped" else "")

    def _steps(self, trainer: Trainer, prepared: Prepared) -> Events:
        config, clock, retry = prepared.config, Clock(trainer), self._retry(trainer)
        self.clock = clock
        while trainer.step < trainer.steps and not self.stopping:
            result = yield from retry.until_it_fits(lambda: self._one_step(trainer))
            if result is None:
                break  # asked to stop in the middle: this step's micro-batches have changed nothing yet
            clock.tick()
            yield self.log.append(step_event(trainer, result, clock))
            yield from self._watch(trainer, result)
            yield from self._watch_log()
            last = trainer.step == trainer.steps
            if last or trainer.step % (config.eval_every or config.save_every) == 0:
                yield from self._evaluate(trainer, prepared)
            if last or trainer.step % config.save_every == 0:
                yield from self._save(trainer)
                yield from self._sample(trainer, prepared.prompts)
        if self.stopping:
            yield from self._save(trainer)

    def _one_step(self, trainer: Trainer) -> Generator[Event, None, StepResult | None]:
        for result in trainer.run_step():
            yield TICK
            if result is not None:
                return result
            if self.stopping:
                break
        return None

    def _watch(self, trainer: Trainer, result: StepResult) -> Events:
        if why := trainer.passes.told():
            yield self._warning(
                f"step {trainer.step}: no graph of it could be recorded ({why}); training goes on without"
            )
        self.unusable = self.unusable + 1 if result.skipped else 0
        if result.skipped:
            yield self._warning(f"step {trainer.step}: the gradient was not finite, so this step changed nothing")
        if self.unusable >= UNUSABLE_STEPS:
            narrow = ", or with --base fp32, since numbers beyond 65504 are infinite in fp16"
            raise LoraLabError(
                f"{UNUSABLE_STEPS} steps in a row had no finite gradient; start again with a lower --lr than "
                f"{trainer.course.lr_at(trainer.step):g}{narrow if trainer.loss_scale.is_needed else ''}"
            )

    def _watch_log(self) -> Events:
        """Say once that events cannot be written; those who follow the run hear of them all the same."""
        if self.log.trouble and not self.told:
            yield self._warning(self.log.trouble)
        self.told = bool(self.log.trouble)

    def _retry(self, trainer: Trainer) -> Retry:
        return Retry(trainer, self.log, self.make_room)

    def _evaluate(self, trainer: Trainer, prepared: Prepared) -> Events:
        def measure() -> Events:
            yield from self._written(validate(self.lm, trainer, prepared, lambda: self.stopping))

        yield from self._retry(trainer).until_it_fits(measure)

    def _sample(self, trainer: Trainer, prompts: Prompts) -> Events:
        """Every prompt answered once at this step, by the adapter as it is now."""
        began = time.perf_counter()
        try:
            yield from self._written(answer(self.lm, trainer.adapter, prompts, trainer.step, lambda: self.stopping))
        except Exception as error:
            if not is_out_of_memory(error):
                raise
            give_back(self.lm.device, error)
            yield self._warning(f"step {trainer.step}: out of memory for the watched prompts; training goes on")
        if self.clock:
            self.clock.leave_out(began)

    def _written(self, events: Events) -> Events:
        for event in events:
            yield event if event is TICK else self.log.append(event)

    def _save(self, trainer: Trainer) -> Events:
        """A checkpoint. A disk that refuses costs a warning, not the run; older checkpoints stay as they are."""
        place = checkpoint_path(self.run.checkpoints, trainer.step)
        if trainer.step == 0 or place.is_dir():
            return
        if refusal := write_checkpoint(trainer, place):
            yield self._warning(
                f"step {trainer.step}: no checkpoint could be written to {self.run.checkpoints} ({refusal}); "
                f"training goes on, the next is due in {trainer.config.save_every} steps; free some space"
            )
            return
        yield self.log.append({"event": "checkpoint", "step": trainer.step})
        self.log.sync()
        try:
            retire_checkpoints(self.run.checkpoints, trainer.config.keep, live(read(self.run.events_path)))
        except OSError as error:
            yield self._warning(f"old checkpoints in {self.run.checkpoints} could not be removed ({error.strerror})")

    def _warning(self, sentence: str) -> Event:
        return self.log.append({"event": "warning", "sentence": sentence})

    def _final(self, ending: str, why: str, **more: Any) -> Event:
        return self.log.append({**final_event(ending, self.run, self.trainer, self.lm.device, why), **more})
