"""AdamW whose two moments take a byte each, with one scale for 256 of them (arXiv:2110.02861)."""

from collections.abc import Iterable, Sequence
from typing import cast

import torch
from torch import Tensor

from loralab_core.ops.adam8bit import AdamStep, adam_step, adamw8bit_
from loralab_core.ops.adam8bit_many import adamw8bit_many_, packed_steps
from loralab_core.ops.blockwise8 import BLOCK, quantize_blockwise
from loralab_core.ops.kernels import has_kernel
from loralab_core.ops.random_bits import counter_seed
from loralab_core.optim.optimizer import Optimizer, State

LEAST = 4096  # elements; the moments of smaller tensors stay float32, which costs nothing and is more exact


class AdamW8bit(Optimizer):
    """A bf16 tensor is rounded by chance, drawn from (seed, step, number of the tensor, element)."""

    def __init__(
        self,
        tensors: Iterable[Tensor],
        *,
        lr: float,
        betas: tuple[float, float],
        eps: float,
        weight_decay: float,
        seed: int = 0,
    ) -> None:
        super().__init__(tensors, lr=lr)
        self.betas, self.eps, self.weight_decay, self.seed = betas, eps, weight_decay, seed
        self._index = {tensor: index for index, tensor in enumerate(self.tensors)}
        self._steps: Tensor | None = None  # on a GPU, for as long as as many tensors move: a graph knows its address

    def step(self) -> None:
        moving = [tensor for tensor in self.tensors if tensor.grad is not None]
        fused = [tensor.is_cuda and has_kernel("adam8bit_many_", tensor) for tensor in moving]
        together = [tensor for tensor, by_one in zip(moving, fused, strict=True) if by_one]
        self.prepare(together)
        self.move(together)
        for tensor, by_one in zip(moving, fused, strict=True):
            if not by_one:
                adamw8bit_(tensor, cast(Tensor, tensor.grad), self.state_of(tensor), self._next(tensor))

    def prepare(self, tensors: Sequence[Tensor]) -> None:
        """Write this step's numbers onto the GPU that has `tensors`: before `move`, and before each of its replays."""
        steps = [self._next(tensor) for tensor in tensors]
        if not steps:
            return
        packed = packed_steps(steps)
        if self._steps is None or self._steps.shape != packed.shape:
            self._steps = torch.empty_like(packed, device=tensors[0].device)
        self._steps.copy_(packed, non_blocking=True)

    def move(self, tensors: Sequence[Tensor]) -> None:
        """By the numbers that were prepared for them. Reads nothing of the GPU, so it may be captured into a graph."""
        if tensors and self._steps is not None:
            gradients = [cast(Tensor, tensor.grad) for tensor in tensors]
            adamw8bit_many_(tensors, gradients, [self.state_of(tensor) for tensor in tensors], self._steps)

    def _next(self, tensor: Tensor) -> AdamStep:
        """Of a tensor; its steps are counted by this."""
        number = int(self.state_of(tensor)["step"].add_(1))
        seed = counter_seed(self.seed, 3, number, self._index[tensor]) if tensor.dtype == torch.bfloat16 else 0
        return adam_step(self.lr, self.betas, self.eps, self.weight_decay, number, seed)

    def fresh(self, tensor: Tensor) -> State:
        none_yet = torch.zeros((), dtype=torch.float32)  # on the CPU, where it is read in every step
        if tensor.numel() < LEAST:
            mean, square = (torch.zeros_like(tensor, dtype=torch.float32) for _ in range(2))
            return {"exp_avg": mean, "exp_avg_sq": square, "step": none_yet}
        state = {"step": none_yet}
        for name, signed in (("exp_avg", True), ("exp_avg_sq", False)):
            (zero,), _ = quantize_blockwise(torch.zeros(1), signed)
            state[name] = torch.full_like(tensor, int(zero), dtype=torch.uint8)
            state[f"{name}_scale"] = torch.zeros(-(-tensor.numel() // BLOCK), device=tensor.device)
        return state
