"""The optimiser and learning-rate schedules."""

from loralab_core.optim.adamw import AdamW
from loralab_core.optim.schedule import learning_rate

__all__ = ["AdamW", "learning_rate"]
