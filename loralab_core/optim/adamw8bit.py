"""AdamW whose two moments take a byte each, with one scale for 256 of them (arXiv:2110.02861)."""

from collections.abc import Iterable

import torch
from torch import Tensor

from loralab_core.ops.adam8bit import adam_step, adamw8bit_
from loralab_core.ops.blockwise8 import BLOCK, quantize_blockwise
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

    def step(self) -> None:
        for index, tensor in enumerate(self.tensors):
            if tensor.grad is not None:
                state = self.state_of(tensor)
                number = int(state["step"].add_(1))
                seed = counter_seed(self.seed, 3, number, index)
                how = adam_step(self.lr, self.betas, self.eps, self.weight_decay, number, seed)
                adamw8bit_(tensor, tensor.grad, state, how)

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
