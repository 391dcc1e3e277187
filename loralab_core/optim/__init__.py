"""Optimisers and learning-rate schedules."""

from loralab_core.optim.schedule import learning_rate

__all__ = ["learning_rate"]
