"""The training loop: a generator of events over real gradients."""

from loralab_core.training.here import resume, train
from loralab_core.training.loop import Training
from loralab_core.training.tick import TICK

__all__ = ["TICK", "Training", "resume", "train"]
