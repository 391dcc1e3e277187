"""The training loop: a generator of events. Who drives it (engine, test, notebook) is not its business.

Whatever happened is in the run's events.jsonl before it is yielded. Between micro-batches the generator yields TICK,
so that its driver can answer a question, look at the clock or ask for a stop. When the last event is yielded the run
has no owner any more: who reads it may resume the run at once.
"""

from collections.abc import Generator, Iterator

from loralab_core.errors import LoraLabError, explain_os_error
from loralab_core.lora.loaded import LoadedModel, load
from loralab_core.models.loss import evaluate_windows
from loralab_core.runs.checkpoints import checkpoint_path, retire_checkpoints
from loralab_core.runs.config import TrainConfig
from loralab_core.runs.directory import RunDirectory, create_run
from loralab_core.runs.events import Event, EventLog, live, read
from loralab_core.runs.owner import claim, release
from loralab_core.text.errors import Cancelled
from loralab_core.training.checkpoint import write_checkpoint, write_result
from loralab_core.training.environment import set_up_arithmetic
from loralab_core.training.memory import reset_peak
from loralab_core.training.prepare import TICK, Prepared, prepare_run
from loralab_core.training.report import Clock, eval_event, explain, final_event, prepared_event, step_event
from loralab_core.training.start import (
    as_started_from,
    check_resumable,
    check_steps,
    check_unchanged,
    continuation,
    make_trainer,
    record_prepared,
    settings,
)
from loralab_core.training.trainer import StepResult, Trainer

UNUSABLE_STEPS = 10  # steps in a row without a finite gradient after which going on makes no sense

Events = Generator[Event, None, None]


def train(config: TrainConfig) -> Iterator[Event]:
    """Train in this process, in a new run directory; yields its events, the last being done, stopped or failed.

    Raises BadInput or LoraLabError after a failed event.
    """
    lm = load(config.model, config.base, config.device)
    yield from (event for event in Training(create_run(config), lm).events() if event is not TICK)


def resume(run: RunDirectory, steps: int | None = None) -> Iterator[Event]:
    """Go on from the last checkpoint in this process, to `steps` where given. Yields and raises as `train` does."""
    check_resumable(run, steps)
    config, _ = settings(run)
    lm = load(config.model, config.base, config.device)
    yield from (event for event in Training(run, lm, extend_to=steps).events() if event is not TICK)


class Training:
    """One run being trained: `events()` is the generator, `stop()` ends it at the next micro-batch."""

    def __init__(self, run: RunDirectory, lm: LoadedModel, extend_to: int | None = None):
        """Raises LoraLabError when another process writes this run or its files cannot be written."""
        claim(run)
        self.run, self.lm, self.extend_to = run, lm, extend_to
        self.stopping, self.why = False, ""
        self.trainer: Trainer | None = None
        self.clock: Clock | None = None
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

    def stop(self, why: str = "") -> None:
        self.stopping, self.why = True, why

    def note(self, kind: str) -> Event:
        """Write down what was done to the run from outside ("paused", "continued"), so that its curve can show it."""
        if self.clock:
            self.clock.go_on()  # a pause is no part of what a step takes
        return self.log.append({"event": kind, "at_step": self.step})

    def events(self) -> Events:
        """Everything from here to the end of the run. A failure is an event first and is raised then."""
        failure: Exception | None = None
        try:
            last = yield from self._whole_run()
        except Cancelled:
            last = self._final("stopped", self.why or "stopped before the first step")
        except Exception as error:
            failure = error
            kind = error.kind if isinstance(error, LoraLabError) else "failed"
            last = self.log.append({**self._last("failed", explain(error, self.run)), "kind": kind})
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
        config = config if before else as_started_from(config)
        set_up_arithmetic(config, before.get("environment", {}).get("threads"))
        check_unchanged(config, before, self.lm.directory, self.run)
        prepared = yield from prepare_run(config, self.lm, lambda: self.stopping)
        if not before:
            record_prepared(self.run, prepared, self.lm)
        self.trainer = trainer = make_trainer(prepared, self.lm, self.run, past)
        check_steps(self.run, self.extend_to, trainer.step)
        reset_peak(self.lm.device)
        for event in continuation(trainer, past, before, self.extend_to):
            yield self.log.append(event)
        yield self.log.append(prepared_event(trainer, prepared))
        if trainer.step == 0:
            yield from self._evaluate(trainer, prepared)
        yield from self._steps(trainer, prepared)
        write_result(trainer, self.run)
        ended = "done" if trainer.step >= trainer.steps else "stopped"
        return self._final(ended, self.why if ended == "stopped" else "")

    def _steps(self, trainer: Trainer, prepared: Prepared) -> Events:
        config, clock = prepared.config, Clock(trainer)
        self.clock = clock
        while trainer.step < trainer.steps and not self.stopping:
            result = yield from self._one_step(trainer)
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
        self.unusable = self.unusable + 1 if result.skipped else 0
        if result.skipped:
            yield self._warning(f"step {trainer.step}: the gradient was not finite, so this step changed nothing")
        if self.unusable >= UNUSABLE_STEPS:
            raise LoraLabError(
                f"{UNUSABLE_STEPS} steps in a row had no finite gradient; start again with a lower --lr than "
                f"{trainer.config.lr:g}"
            )

    def _watch_log(self) -> Events:
        """Say once that events cannot be written; those who follow the run hear of them all the same."""
        if self.log.trouble and not self.told:
            yield self._warning(self.log.trouble)
        self.told = bool(self.log.trouble)

    def _evaluate(self, trainer: Trainer, prepared: Prepared) -> Events:
        """Mean loss over the held-out windows, the same ones each time."""
        if prepared.validation is None:
            return
        total, count, micro = 0.0, 0, prepared.config.micro_batch or 1
        pieces = evaluate_windows(self.lm.model, prepared.validation, prepared.validation_indices, micro)
        while not self.stopping:
            with self.lm.using(trainer.adapter):
                piece = next(pieces, None)
            if piece is None:
                break
            total, count = total + piece[0], count + piece[1]
            yield TICK
        else:
            return
        yield self.log.append(eval_event(trainer.step, total / max(1, count)))

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

    def _final(self, kind: str, why: str) -> Event:
        return self.log.append(self._last(kind, why))

    def _last(self, kind: str, why: str) -> Event:
        return final_event(kind, self.run, self.trainer, self.lm.device, why)
