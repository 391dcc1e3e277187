"""Optimisers and learning-rate schedules."""

from loralab_core.optim.adafactor import Adafactor
from loralab_core.optim.adamw import AdamW
from loralab_core.optim.adamw8bit import AdamW8bit
from loralab_core.optim.choice import create_optimizer
from loralab_core.optim.optimizer import Optimizer
from loralab_core.optim.schedule import learning_rate

__all__ = ["Adafactor", "AdamW", "AdamW8bit", "Optimizer", "create_optimizer", "learning_rate"]
