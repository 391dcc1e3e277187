"""Packed weights stay packed: products leave nothing behind but scratch, however many weights they meet."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import psutil
import pytest
import torch

from loralab_core.ops import quant_linear
from loralab_core.ops.native.library import native
from loralab_core.quant import QuantTensor, quantize

LAYERS, SIDE, SCRATCH = 200, 1024, 8 << 20  # bytes: what four of the 200 would take in bf16


def resident() -> int:
    return int(psutil.Process().memory_info().rss)


def use(weight: QuantTensor) -> None:
    """Forward for one row and for many, and back."""
    quant_linear(torch.ones(1, SIDE, dtype=torch.bfloat16), weight)
    for compute in ("w4a16", "w4a8"):
        x = torch.ones(256, SIDE, dtype=torch.bfloat16, requires_grad=True)
        quant_linear(x, weight, compute=compute).sum().backward()  # type: ignore[arg-type, no-untyped-call]


def growth() -> int:
    """Bytes by which 200 different weights make the process larger, once ten were met."""
    weight = quantize(torch.randn(SIDE, SIDE, generator=torch.Generator().manual_seed(0)), "nf4")
    layers = [replace(weight, codes=weight.codes.clone(), scales=weight.scales.clone()) for _ in range(LAYERS)]
    for layer in layers[:10]:
        use(layer)
    before = resident()
    for layer in layers:
        use(layer)
    return resident() - before


@pytest.mark.skipif(not native().library, reason="needs compiled kernels")
def test_memory_does_not_grow_with_the_weights_that_were_met() -> None:
    """In a process of its own: after a thousand tests, resident is also what those have left in pieces."""
    program = f"from {__name__} import growth; print(growth())"
    root = Path(__file__).parents[2]
    done = subprocess.run([sys.executable, "-c", program], cwd=root, check=True, capture_output=True, text=True)
    assert int(done.stdout) < SCRATCH
