"""What the tests of fused kernels share: inputs, formulas in float64, and how far off a result is."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
import torch.nn.functional as F
from torch import Tensor

TYPES = (torch.float32, torch.bfloat16, torch.float16)
ROUNDING = {torch.float32: 1e-6, torch.bfloat16: 3e-3, torch.float16: 4e-4}  # of one number, on average, and a little
ORDERS = (1, 2, 3)  # of threads: in reverse, shuffled


def normal(*shape: int, dtype: torch.dtype = torch.float32, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(sum(shape) + seed)).to(dtype)


def error(y: Tensor, expected: Tensor) -> float:
    """Relative; NaN, such as of an element nobody wrote, is never small."""
    assert y.shape == expected.shape
    return float((y.double() - expected).detach().norm() / expected.detach().norm().clamp_min(1e-30))


@contextmanager
def poisoned() -> Iterator[None]:
    """Fresh memory is NaN meanwhile, or the largest integer."""
    torch.use_deterministic_algorithms(True)
    try:
        assert torch.empty(3).isnan().all()
        yield
    finally:
        torch.use_deterministic_algorithms(False)


def exact_norm(x: Tensor, gain: Tensor, eps: float, offset: float) -> Tensor:
    wide = x.double()
    return wide * (wide.square().mean(-1, keepdim=True) + eps).rsqrt() * (offset + gain.double())


def exact_rotary(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    half = cos.shape[-1]
    left, right, rest = x.double().split([half, half, x.shape[-1] - 2 * half], -1)
    cos, sin = cos.double(), sin.double()
    return torch.cat([left * cos - right * sin, right * cos + left * sin, rest], -1)


def exact_gated(gate: Tensor, up: Tensor, activation: str) -> Tensor:
    bent = {
        "silu": F.silu,
        "gelu": F.gelu,
        "gelu_tanh": lambda x: F.gelu(x, approximate="tanh"),
        "relu": F.relu,
    }[activation]
    return bent(gate.double()) * up.double()


def exact_gradients(y: Tensor, dy: Tensor, *inputs: Tensor) -> tuple[Tensor, ...]:
    return torch.autograd.grad(y, inputs, dy.double())
