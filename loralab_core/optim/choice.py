"""The optimiser that a run's settings name."""

from collections.abc import Iterable
from typing import TYPE_CHECKING

from torch import Tensor

from loralab_core.optim.adafactor import Adafactor
from loralab_core.optim.adamw import AdamW
from loralab_core.optim.adamw8bit import AdamW8bit
from loralab_core.optim.optimizer import Optimizer

if TYPE_CHECKING:
    from loralab_core.runs.config import TrainConfig


def create_optimizer(config: "TrainConfig", tensors: Iterable[Tensor]) -> Optimizer:
    """Tensors are numbered in their order, on which chance in rounding depends."""
    lr, weight_decay = config.lr, config.weight_decay
    if config.optimizer == "adafactor":
        return Adafactor(tensors, lr=lr, weight_decay=weight_decay, seed=config.seed)
    betas, eps = (config.beta1, config.beta2), config.eps
    if config.optimizer == "adamw8bit":
        return AdamW8bit(tensors, lr=lr, betas=betas, eps=eps, weight_decay=weight_decay, seed=config.seed)
    return AdamW(tensors, lr=lr, betas=betas, eps=eps, weight_decay=weight_decay)
