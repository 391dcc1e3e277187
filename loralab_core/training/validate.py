"""How well the held-out part of the corpus is predicted, now and then while a run goes on."""

from collections.abc import Callable, Generator

from loralab_core.lora.loaded import LoadedModel
from loralab_core.models.loss import evaluate_windows
from loralab_core.runs.events import Event
from loralab_core.training.prepare import Prepared
from loralab_core.training.report import eval_event
from loralab_core.training.tick import TICK
from loralab_core.training.trainer import Trainer


def validate(
    lm: LoadedModel, trainer: Trainer, prepared: Prepared, stopping: Callable[[], bool]
) -> Generator[Event, None, None]:
    """Mean loss over the held-out windows, the same ones each time: TICKs, then one `eval` event."""
    if prepared.validation is None:
        return
    total, count = 0.0, 0
    pieces = evaluate_windows(lm.model, prepared.validation, prepared.validation_indices, trainer.micro_batch)
    while not stopping():
        with lm.using(trainer.adapter, trainer.config.compute):
            piece = next(pieces, None)
        if piece is None:
            yield eval_event(trainer.step, total / max(1, count))
            return
        total, count = total + piece[0], count + piece[1]
        yield TICK
