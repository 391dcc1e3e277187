"""The training loop: a generator of events over real gradients."""

from loralab_core.training.loop import Training, resume, train
from loralab_core.training.prepare import TICK

__all__ = ["TICK", "Training", "resume", "train"]
