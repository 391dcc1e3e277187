"""Running out of memory in a run: begun anew in smaller micro-batches where that is allowed, else told in a sentence.

A smaller micro-batch sums the same gradient in more pieces. What is begun anew draws nothing twice, because draws are
functions of the step; so the run goes on as one that had that micro-batch from this step on.
"""

from collections.abc import Callable, Generator
from typing import TypeVar

import torch

from loralab_core.device_memory import device_memory, give_back, in_words
from loralab_core.errors import OutOfMemory
from loralab_core.hardware.exhaustion import is_out_of_memory
from loralab_core.lora.loaded import LoadedModel
from loralab_core.planning.remedies import Remedy, Shortage, shortage
from loralab_core.planning.training_step import StepSettings, optimizer_bytes, step_bytes
from loralab_core.runs.events import Event, EventLog
from loralab_core.training.memory import current_bytes, peak_bytes
from loralab_core.training.trainer import Trainer

Result = TypeVar("Result")
Work = Callable[[], Generator[Event, None, Result]]


class Retry:
    """Work on one trainer that is begun anew once there is room for it."""

    def __init__(self, trainer: Trainer, log: EventLog, make_room: Callable[[], bool]):
        """`make_room`: gives back what others hold in this process; whether there was anything."""
        self.trainer, self.log, self.make_room = trainer, log, make_room

    def until_it_fits(self, work: Work[Result]) -> Generator[Event, None, Result]:
        """`work()` to its end. Raises OutOfMemory where nothing more can be done, and whatever else it raises."""
        while True:
            try:
                return (yield from work())
            except Exception as error:
                if self.trainer.is_updating or not is_out_of_memory(error):
                    raise
                self.trainer.optimizer.zero_grad()
                self.trainer.passes.forget()
                give_back(self.trainer.lm.device, error)
            if not self.make_room():
                yield from self._shrink()

    def _shrink(self) -> Generator[Event, None, None]:
        trainer, step = self.trainer, self.trainer.step + 1
        before, smaller = trainer.micro_batch, trainer.micro_batch // 2
        if not trainer.config.shrink_micro_batch or not smaller:
            raise out_of_memory(trainer, f"in step {step}")
        event = self.log.append({"event": "changed", "at_step": trainer.step, "micro_batch": smaller})
        self.log.sync()  # first: who resumes the run reads it
        trainer.course.change(trainer.step, micro_batch=smaller)
        yield event
        result = "the same sums, but other dropout masks" if trainer.config.dropout else "the same result"
        sentence = (
            f"step {step} ran out of memory with {before} windows at a time; it and those behind it are computed with "
            f"{smaller}: {result}, a little slower"
        )
        yield self.log.append({"event": "warning", "sentence": sentence})


def explained(error: Exception, trainer: Trainer | None, lm: LoadedModel) -> Exception:
    """An error that ends a run: OutOfMemory with its sentence where it is about memory, else as it is.

    What the failed work held is given back first, since that is what the sentence counts.
    """
    if not is_out_of_memory(error):
        return error
    give_back(lm.device, error)
    if trainer is not None:
        return out_of_memory(trainer, f"in step {trainer.step + 1}")
    return OutOfMemory(
        f"out of memory while the run was prepared: {_there(lm.device)}; close other programs, or choose a smaller "
        "corpus or model"
    )


def out_of_memory(trainer: Trainer, where: str) -> OutOfMemory:
    """What lacked, and the settings that the forecast says would do."""
    found = _shortage(trainer)
    config, device = trainer.config, trainer.lm.device
    if found.needed > found.free:
        size = f"{trainer.micro_batch} × {config.seq_len:,} tokens"
        lacking = f"computing {size} at a time takes about {in_words(found.needed)}, and {_there(device)}"
    else:
        lacking = f"{_there(device)}, and that was not enough"
    return OutOfMemory(f"out of memory {where}: {lacking}; {_advice(found.remedies, trainer)}", found.remedies)


def _shortage(trainer: Trainer) -> Shortage:
    config, settings = trainer.lm.model.config, step_settings(trainer)
    free = device_memory(trainer.lm.device).free
    if not trainer.optimizer.state:
        free -= optimizer_bytes(config, settings)  # still to be made
    return shortage(config, settings, max(0, free))


def step_reserve(trainer: Trainer) -> int:
    """Bytes that a step takes on top of what is held now: by forecast, and once there was one as it was."""
    device = trainer.lm.device
    if trainer.optimizer.state:
        return max(0, peak_bytes(device) - current_bytes(device))
    config, settings = trainer.lm.model.config, step_settings(trainer)
    return step_bytes(config, settings) + optimizer_bytes(config, settings)


def step_settings(trainer: Trainer) -> StepSettings:
    config, lm = trainer.config, trainer.lm
    return StepSettings(
        base=lm.base,
        micro_batch=trainer.micro_batch,
        seq_len=config.seq_len or 1,
        half=lm.model.dtype.itemsize == 2,
        rank=config.rank,
        full=config.mode == "full",
        optimizer=config.optimizer,
        checkpoint_activations=config.checkpoint_activations,
        gpu=lm.device.type != "cpu",
    )


def _there(device: torch.device) -> str:
    memory = device_memory(device)
    others = f" (other programs hold {in_words(memory.others)})" if memory.others > memory.total // 20 else ""
    return f"{in_words(memory.free)} of {in_words(memory.total)} are free on {device}{others}"


def _advice(remedies: tuple[Remedy, ...], trainer: Trainer) -> str:
    if not remedies:
        return "no setting would make it fit: choose a smaller model, or a device with more memory"
    options = [as_options(remedy) for remedy in remedies]
    helps = f"any one of these would make it fit: {', '.join(options)}" if len(options) > 1 else ""
    helps = helps or f"{options[0]} would make it fit"
    if "micro_batch" in remedies[0] and len(remedies[0]) == 1 and not trainer.config.shrink_micro_batch:
        helps += "; --shrink-micro-batch does the first of them by itself" if len(options) > 1 else ""
    return helps


def as_options(remedy: Remedy) -> str:
    """As one types it."""
    words = [
        f"--set {name}=true" if value is True else f"--{name.replace('_', '-')} {value}"
        for name, value in remedy.items()
    ]
    return " ".join(words)
