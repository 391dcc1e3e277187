"""Which settings would make a training step fit that did not, by the forecast and by what its failure has shown."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any

from loralab_core.architecture.config import DecoderConfig
from loralab_core.catalog.models import Figures
from loralab_core.hardware.devices import Half
from loralab_core.planning.footprint import DENSE, weight_bytes
from loralab_core.planning.training_step import StepSettings, resident_bytes, step_bytes

SURE = 0.75  # of what is free: allocators lose some to gaps, and the forecast is one
SHORTEST = 64  # tokens of a window; below it there is nothing left to learn from
AT_MOST = 3
LEANER = ("int8", "nf4")  # bases, the more exact one first

Remedy = dict[str, Any]  # settings by their names in TrainConfig


@dataclass(frozen=True)
class Shortage:
    """A step that did not fit. Bytes; `free`: for a step, what is held from step to step being there already."""

    needed: int  # about
    free: int
    remedies: tuple[Remedy, ...]  # each enough by itself, the mildest first


def shortage(config: DecoderConfig, settings: StepSettings, free: int) -> Shortage:
    """What is to be said of a step with `settings` that ran out of memory where `free` bytes were there for it.

    It took more than that, whatever the forecast says: where the forecast is lower, all of them are raised alike.
    """
    forecast = step_bytes(config, settings)
    raised = max(1.0, free / forecast)
    held = resident_bytes(config, settings)

    def fits(changes: Remedy) -> bool:
        other = replace(settings, **changes)
        more = resident_bytes(config, other) - held
        return raised * step_bytes(config, other) + more <= SURE * free

    alone = [found for way in _ways(settings) if (found := next(filter(fits, way), None))]
    together = filter(fits, _together(settings))
    enough = alone[:AT_MOST] or list(islice(together, 1))
    return Shortage(int(raised * forecast), free, tuple(enough))


def bases_that_fit(figures: Figures, base: str, free: int, half: Half | None = None) -> tuple[str, ...]:
    """Leaner ones than `base` in which the weights find their place in `free` bytes, the more exact one first.

    `half`: the 16-bit numbers that the device computes in, if it does.
    """
    now = weight_bytes(figures, base)
    sizes = {other: weight_bytes(figures, other) for other in (half or "bf16", *LEANER)}
    return tuple(other for other, size in sizes.items() if size < now and size <= SURE * free)


def _ways(settings: StepSettings) -> Iterator[list[Remedy]]:
    """Each way to need less, its mildest setting first; what changes nothing of the result before what does."""
    yield [{"micro_batch": rows} for rows in _halves(settings.micro_batch, 1)]
    if not settings.checkpoint_activations:
        yield [{"checkpoint_activations": True}]
    if settings.full and settings.optimizer == "adamw":
        yield [{"optimizer": "adamw8bit"}, {"optimizer": "adafactor"}]
    if not settings.full and settings.base in DENSE:
        yield [{"base": base} for base in LEANER]
    yield [{"seq_len": tokens} for tokens in _halves(settings.seq_len, SHORTEST)]


def _together(settings: StepSettings) -> Iterator[Remedy]:
    """One after the other joins those before it, each at its leanest; of the window it is the longest that will do."""
    changes: Remedy = {}
    for way in _ways(settings):
        for last in way if way and "seq_len" in way[0] else way[-1:]:
            yield {**changes, **last}
        if way:
            changes |= way[-1]


def _halves(value: int, least: int) -> list[int]:
    halves = []
    while (value := value // 2) >= least:
        halves.append(value)
    return halves
