"""Training in the caller's own process, without an engine."""

from collections.abc import Iterator

from loralab_core.lora.loaded import load
from loralab_core.runs.config import TrainConfig
from loralab_core.runs.directory import RunDirectory, create_run
from loralab_core.runs.events import Event
from loralab_core.training.loop import Training
from loralab_core.training.start import check_resumable, settings
from loralab_core.training.tick import TICK


def train(config: TrainConfig) -> Iterator[Event]:
    """Train in this process, in a new run directory; yields its events, the last being done, stopped or failed.

    Raises BadInput or LoraLabError after a failed event.
    """
    lm = load(config.model, config.base, config.device, full=config.mode == "full")
    yield from (event for event in Training(create_run(config), lm).events() if event is not TICK)


def resume(run: RunDirectory, steps: int | None = None) -> Iterator[Event]:
    """Go on from the last checkpoint in this process, to `steps` where given. Yields and raises as `train` does."""
    check_resumable(run, steps)
    config, _ = settings(run)
    lm = load(config.model, config.base, config.device, full=config.mode == "full")
    yield from (event for event in Training(run, lm, extend_to=steps).events() if event is not TICK)
