"""AdamW (arXiv:1711.05101) by PyTorch's fused kernel, without the class around it.

`torch.optim.AdamW` loads the compiler of PyTorch when it is made, which nothing here uses: two seconds of work before
the first step of every engine. The kernel and so the result are the same, bit for bit.
"""

from collections.abc import Iterable
from typing import cast

import torch
from torch import Tensor

MOMENTS = ("exp_avg", "exp_avg_sq", "step")  # as `torch.optim.AdamW` names them; `step` is float32 []

State = dict[str, Tensor]


class AdamW:
    """`lr` is set before each step. `state` holds the moments of each tensor from its first step on."""

    def __init__(
        self, tensors: Iterable[Tensor], *, lr: float, betas: tuple[float, float], eps: float, weight_decay: float
    ) -> None:
        self.tensors = tuple(tensors)
        self.lr, self.betas, self.eps, self.weight_decay = lr, betas, eps, weight_decay
        self.state: dict[Tensor, State] = {}

    @torch.no_grad()
    def step(self) -> None:
        """One step for every tensor that has a gradient; the kernel takes those of one type at a time."""
        moving = [tensor for tensor in self.tensors if tensor.grad is not None]
        for kind in dict.fromkeys((tensor.device, tensor.dtype) for tensor in moving):
            self._update([tensor for tensor in moving if (tensor.device, tensor.dtype) == kind])

    def _update(self, tensors: list[Tensor]) -> None:
        states = [self._state(tensor) for tensor in tensors]
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

    def _state(self, tensor: Tensor) -> State:
        if tensor not in self.state:
            none_yet = torch.zeros((), dtype=torch.float32, device=tensor.device)
            begin = (torch.zeros_like(tensor), torch.zeros_like(tensor), none_yet)
            self.state[tensor] = dict(zip(MOMENTS, begin, strict=True))
        return self.state[tensor]

    def zero_grad(self) -> None:
        """The gradients' memory is given back."""
        for tensor in self.tensors:
            tensor.grad = None
