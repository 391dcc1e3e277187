"""The training loop: a generator of events over real gradients."""

from loralab_core.training.loop import TICK, Training, resume, train

__all__ = ["TICK", "Training", "resume", "train"]
