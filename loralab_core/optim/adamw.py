"""AdamW (arXiv:1711.05101) by PyTorch's fused kernel, without the class around it.

`torch.optim.AdamW` loads the compiler of PyTorch when it is made, which nothing here uses: two seconds of work before
the first step of every engine. The kernel and so the result are the same, bit for bit.
"""

from collections.abc import Iterable
from typing import cast

import torch
from torch import Tensor

from loralab_core.optim.optimizer import Optimizer, State

MOMENTS = ("exp_avg", "exp_avg_sq", "step")  # as `torch.optim.AdamW` names them; `step` is float32 []


class AdamW(Optimizer):
    """Moments are held as the tensor is, `step` where it is."""

    def __init__(
        self, tensors: Iterable[Tensor], *, lr: float, betas: tuple[float, float], eps: float, weight_decay: float
    ) -> None:
        super().__init__(tensors, lr=lr)
        self.betas, self.eps, self.weight_decay = betas, eps, weight_decay

    @torch.no_grad()
    def step(self) -> None:
        """One step for every tensor that has a gradient; the kernel takes those of one type at a time."""
        moving = [tensor for tensor in self.tensors if tensor.grad is not None]
        for kind in dict.fromkeys((tensor.device, tensor.dtype) for tensor in moving):
            self._update([tensor for tensor in moving if (tensor.device, tensor.dtype) == kind])

    def _update(self, tensors: list[Tensor]) -> None:
        states = [self.state_of(tensor) for tensor in tensors]
        gradients = [cast(Tensor, tensor.grad) for tensor in tensors]
        means, squares, steps = ([state[name] for state in states] for name in MOMENTS)
        torch._foreach_add_(steps, 1)
        torch._fused_adamw_(
            *(tensors, gradients, means, squares, [], steps),
            lr=self.lr,
            beta1=self.betas[0],
            beta2=self.betas[1],
            weight_decay=self.weight_decay,
            eps=self.eps,
            amsgrad=False,
            maximize=False,
        )

    def fresh(self, tensor: Tensor) -> State:
        none_yet = torch.zeros((), dtype=torch.float32, device=tensor.device)
        begin = (torch.zeros_like(tensor), torch.zeros_like(tensor), none_yet)
        return dict(zip(MOMENTS, begin, strict=True))
