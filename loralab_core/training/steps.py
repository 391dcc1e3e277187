"""The steps of a run, and what is done between them: validation, watched prompts, checkpoints."""

import time
from collections.abc import Callable, Generator

from loralab_core.device_memory import give_back
from loralab_core.errors import LoraLabError
from loralab_core.hardware.exhaustion import is_out_of_memory
from loralab_core.runs.checkpoints import checkpoint_path, retire_checkpoints
from loralab_core.runs.directory import RunDirectory
from loralab_core.runs.events import Event, EventLog, live, read
from loralab_core.training.checkpoint import write_checkpoint
from loralab_core.training.prepare import Prepared
from loralab_core.training.prompts import answer
from loralab_core.training.report import Clock, step_event
from loralab_core.training.shortage import Retry
from loralab_core.training.tick import TICK
from loralab_core.training.trainer import StepResult, Trainer
from loralab_core.training.validate import validate

UNUSABLE_STEPS = 10  # steps in a row without a finite gradient after which going on makes no sense

Events = Generator[Event, None, None]


class Steps:
    """`events()` trains to the last step, or to the micro-batch in which `stopping()` came true."""

    def __init__(
        self,
        trainer: Trainer,
        prepared: Prepared,
        run: RunDirectory,
        log: EventLog,
        stopping: Callable[[], bool],
        make_room: Callable[[], bool],
    ):
        self.trainer, self.prepared, self.run, self.log, self.stopping = trainer, prepared, run, log, stopping
        self.retry = Retry(trainer, log, make_room)
        self.clock: Clock | None = None
        self.unusable = 0
        self.told = False  # of the trouble that the event log has

    def go_on(self) -> None:
        """The step under way is timed from now on: a pause is no part of what it takes."""
        if self.clock:
            self.clock.go_on()

    def events(self) -> Events:
        if self.trainer.step == 0:
            yield from self._evaluate()
        yield from self._sample()
        self.clock = Clock(self.trainer)
        while self.trainer.step < self.trainer.steps and not self.stopping():
            result = yield from self.retry.until_it_fits(self._one_step)
            if result is None:
                break  # asked to stop in the middle: this step's micro-batches have changed nothing yet
            self.clock.tick()
            yield self.log.append(step_event(self.trainer, result, self.clock))
            yield from self._watch(result)
            yield from self._watch_log()
            yield from self._what_is_due()
        if self.stopping():
            yield from self._save()

    def _one_step(self) -> Generator[Event, None, StepResult | None]:
        for result in self.trainer.run_step():
            yield TICK
            if result is not None:
                return result
            if self.stopping():
                break
        return None

    def _watch(self, result: StepResult) -> Events:
        trainer = self.trainer
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

    def _what_is_due(self) -> Events:
        config, step, last = self.trainer.config, self.trainer.step, self.trainer.step == self.trainer.steps
        if last or step % (config.eval_every or config.save_every) == 0:
            yield from self._evaluate()
        if last or step % config.save_every == 0:
            yield from self._save()
            yield from self._sample()

    def _evaluate(self) -> Events:
        def measure() -> Events:
            yield from self._written(validate(self.trainer.lm, self.trainer, self.prepared, self.stopping))

        yield from self.retry.until_it_fits(measure)

    def _sample(self) -> Events:
        """Every prompt answered once at this step, by the adapter as it is now."""
        trainer, began = self.trainer, time.perf_counter()
        answers = answer(trainer.lm, trainer.adapter, self.prepared.prompts, trainer.step, self.stopping)
        try:
            yield from self._written(answers)
        except Exception as error:
            if not is_out_of_memory(error):
                raise
            give_back(trainer.lm.device, error)
            yield self._warning(f"step {trainer.step}: out of memory for the watched prompts; training goes on")
        if self.clock:
            self.clock.leave_out(began)

    def _save(self) -> Events:
        """A checkpoint. A disk that refuses costs a warning, not the run; older checkpoints stay as they are."""
        trainer, directory = self.trainer, self.run.checkpoints
        place = checkpoint_path(directory, trainer.step)
        if trainer.step == 0 or place.is_dir():
            return
        if refusal := write_checkpoint(trainer, place):
            yield self._warning(
                f"step {trainer.step}: no checkpoint could be written to {directory} ({refusal}); "
                f"training goes on, the next is due in {trainer.config.save_every} steps; free some space"
            )
            return
        yield self.log.append({"event": "checkpoint", "step": trainer.step})
        self.log.sync()
        try:
            retire_checkpoints(directory, trainer.config.keep, live(read(self.run.events_path)))
        except OSError as error:
            yield self._warning(f"old checkpoints in {directory} could not be removed ({error.strerror})")

    def _written(self, events: Events) -> Events:
        for event in events:
            yield event if event is TICK else self.log.append(event)

    def _warning(self, sentence: str) -> Event:
        return self.log.append({"event": "warning", "sentence": sentence})
