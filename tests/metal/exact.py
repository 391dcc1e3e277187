"""What the Metal tests share: quantised matrices, what they stand for in float64, outputs full of NaN beforehand."""

import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from unittest import mock

import pytest
import torch
from torch import Tensor

from loralab_core.ops.metal.launch import Kernels
from loralab_core.quant import QuantTensor, quantize
from tests.emulation import metal

if sys.platform != "linux" or shutil.which("g++") is None:
    pytest.skip("the emulation of Metal needs g++ on Linux", allow_module_level=True)

TYPES = (torch.float32, torch.float16, torch.bfloat16)
KINDS = [("nf4", 32, False), ("nf4", 64, False), ("int4", 128, False), ("int4", 64, True), ("int8", 64, False)]
ROUNDING = {torch.float32: 2.0**-23, torch.float16: 2.0**-11, torch.bfloat16: 2.0**-8}  # of one number, relative


@cache
def kernels() -> Kernels:
    return Kernels(metal.compile_shader)


def matrix(kind: str, out: int, width: int, group: int, zero_points: bool = False) -> QuantTensor:
    dense = torch.randn(out, width, generator=torch.Generator().manual_seed(out * 1000 + width))
    return quantize(dense, kind, group, zero_points=zero_points)  # type: ignore[arg-type]


def exact(weight: QuantTensor) -> Tensor:
    """float64 [out, in], by the formula of loralab_core/quant/tensor.py and nothing of its code."""
    out, width = weight.shape
    if weight.codebook is None:
        return weight.codes.double() * weight.scales.double()[:, None]
    assert weight.steps is not None
    codes = torch.stack([weight.codes >> 4, weight.codes & 15], -1).flatten(1).long()
    values = weight.codebook.double()[codes].view(out, -1, weight.group)
    if weight.zeros is not None:
        values = values - weight.zeros.double()[..., None]
    steps = weight.steps.double().repeat_interleave(16, 0)[:out]
    scales = steps[:, 1:] + steps[:, :1] * weight.scales.double()
    return (values * scales[..., None]).flatten(1)[:, :width]


def normal(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(sum(shape) + seed))


@contextmanager
def poisoned() -> Iterator[None]:
    """Whatever is allocated in here without being filled is NaN: what a kernel leaves out shows."""
    before = torch.are_deterministic_algorithms_enabled(), torch.utils.deterministic.fill_uninitialized_memory
    torch.use_deterministic_algorithms(True)
    torch.utils.deterministic.fill_uninitialized_memory = True
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(before[0])
        torch.utils.deterministic.fill_uninitialized_memory = before[1]


@contextmanager
def fibers_run(order: int) -> Iterator[None]:
    """Forwards (0), backwards (1) or shuffled: what lacks a barrier gives another result."""
    with mock.patch.object(metal, "order", order):
        yield


def error(y: Tensor, expected: Tensor) -> float:
    """Relative, of the norm; NaN anywhere is infinite."""
    expected = expected.detach()
    found = float((y.double() - expected).norm() / expected.norm().clamp_min(1e-30))
    return found if found == found else float("inf")
