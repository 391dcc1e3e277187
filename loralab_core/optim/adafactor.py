"""Adafactor (arXiv:1804.04235): of a matrix' second moment only the means of its rows and columns are kept.

Without a first moment, and with the learning rate as it is given: steps relative to the size of a weight (section 8)
would hardly move an adapter's B, which starts at zero. The root mean square of an update is at most `lr`.
"""

from collections.abc import Iterable

import torch
from torch import Tensor

from loralab_core.ops.random_bits import counter_seed, subtract_
from loralab_core.optim.optimizer import Optimizer, State

DECAY = -0.8  # exponent of the second moment's decay, 1 - step^DECAY (section 7.2)
EPS = 1e-30  # added to every squared gradient
CLIP = 1.0  # largest root mean square of an update, before the learning rate (section 6)


class Adafactor(Optimizer):
    """A bf16 tensor is rounded by chance, as AdamW8bit does."""

    def __init__(self, tensors: Iterable[Tensor], *, lr: float, weight_decay: float, seed: int = 0) -> None:
        super().__init__(tensors, lr=lr)
        self.weight_decay, self.seed = weight_decay, seed

    @torch.no_grad()
    def step(self) -> None:
        for index, tensor in enumerate(self.tensors):
            if tensor.grad is not None:
                state = self.state_of(tensor)
                number = int(state["step"].add_(1))
                update = _scaled(tensor.grad.float(), state, number**DECAY)
                size = torch.linalg.vector_norm(update) / update.numel() ** 0.5
                update.mul_(self.lr / (size / CLIP).clamp_min(1))
                subtract_(tensor, update, 1 - self.lr * self.weight_decay, counter_seed(self.seed, 3, number, index))

    def fresh(self, tensor: Tensor) -> State:
        def zeros(*shape: int) -> Tensor:
            return torch.zeros(shape, dtype=torch.float32, device=tensor.device)

        none_yet, shape = torch.zeros((), dtype=torch.float32), tensor.shape
        if tensor.dim() < 2:
            return {"exp_avg_sq": zeros(*shape), "step": none_yet}
        rows, columns = zeros(*shape[:-1]), zeros(*shape[:-2], shape[-1])
        return {"exp_avg_sq_row": rows, "exp_avg_sq_col": columns, "step": none_yet}


def _scaled(gradient: Tensor, state: State, share: float) -> Tensor:
    """The gradient divided by the root of its second moment, of which it becomes `share`. A new tensor."""
    if gradient.dim() < 2:
        square = state["exp_avg_sq"].lerp_(gradient.square() + EPS, share)
        return gradient * square.rsqrt()
    rows = state["exp_avg_sq_row"].lerp_(_mean_square(gradient, -1), share)
    columns = state["exp_avg_sq_col"].lerp_(_mean_square(gradient, -2), share)
    of_rows = (rows / rows.mean(-1, keepdim=True)).rsqrt()
    return (gradient * of_rows[..., None]).mul_(columns.rsqrt()[..., None, :])


def _mean_square(gradient: Tensor, dim: int) -> Tensor:
    """As a norm, so that no squares as large as the gradient are held."""
    norm: Tensor = torch.linalg.vector_norm(gradient, dim=dim)
    return norm.square_().div_(gradient.shape[dim]).add_(EPS)
