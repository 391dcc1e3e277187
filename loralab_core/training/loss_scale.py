"""The loss times a power of two, so that gradients of activations in fp16 are neither nothing nor infinite.

Micikevicius et al., arXiv:1710.03740, section 3.2. What is trained and its gradients are float32, where dividing by a
power of two again loses nothing; so the scale shows in no result but through what fp16 rounds away.
"""

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor

FIRST, LEAST, LARGEST = 2.0**16, 1.0, 2.0**24  # with more than that a loss might end float32's range
PATIENCE = 500  # steps before a larger one is tried: a trial that fails is a step computed twice


class LossScale:
    """`factor` is 1 and stays so unless activations are in fp16. A scale that was too high is halved."""

    def __init__(self, activations: torch.dtype):
        self.is_needed = activations == torch.float16
        self.factor, self.steps = FIRST if self.is_needed else 1.0, 0  # made with this factor

    def unscale(self, tensors: Iterable[Tensor]) -> None:
        """Divide the tensors' gradients by the factor."""
        if self.factor != 1.0:
            gradients = [tensor.grad for tensor in tensors if tensor.grad is not None]
            torch._foreach_mul_(gradients, 1 / self.factor)

    def lower(self) -> bool:
        """After a gradient that was not finite: half the factor, if there is one. Whether that may help."""
        if self.factor == LEAST:
            return False
        self.factor, self.steps = self.factor / 2, 0
        return True

    def keep(self) -> None:
        """After a step that was made: twice the factor when it has held for long."""
        self.steps += 1
        if self.is_needed and self.steps >= PATIENCE:
            self.factor, self.steps = min(LARGEST, 2 * self.factor), 0

    def state(self) -> dict[str, Any]:
        """What a checkpoint needs: nothing where the loss is not scaled."""
        return {"loss_scale": {"factor": self.factor, "steps": self.steps}} if self.is_needed else {}

    def load(self, checkpoint: dict[str, Any]) -> None:
        """From what `state` was put into. Raises KeyError where it is damaged."""
        if self.is_needed and (saved := checkpoint.get("loss_scale")):
            self.factor, self.steps = saved["factor"], saved["steps"]
