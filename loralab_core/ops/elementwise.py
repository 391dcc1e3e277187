"""Activations: functions of each number on its own."""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "silu": F.silu,
    "gelu": F.gelu,
    "gelu_tanh": lambda x: F.gelu(x, approximate="tanh"),
    "relu": F.relu,
}


def activate(x: Tensor, activation: str) -> Tensor:
    return ACTIVATIONS[activation](x)


def slope(dy: Tensor, x: Tensor, activation: str) -> Tensor:
    """dy · activation'(x)."""
    if activation == "silu":
        return torch.ops.aten.silu_backward(dy, x)  # type: ignore[no-any-return]
    if activation == "relu":
        return dy * (x > 0)
    approximate = "tanh" if activation == "gelu_tanh" else "none"
    return torch.ops.aten.gelu_backward(dy, x, approximate=approximate)  # type: ignore[no-any-return]


def soft_cap(x: Tensor, cap: float) -> Tensor:
    """cap · tanh(x / cap): nearly x where that is small, never beyond ±cap (Gemma 2, arXiv:2408.00118)."""
    return torch.tanh(x / cap) * cap
