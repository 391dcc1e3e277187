"""The kernels for NVIDIA's GPUs on this computer's processor, thread for thread: torch.ops.emulated.*"""

import ctypes
from collections.abc import Callable, Iterator
from importlib import import_module
from typing import Any

import pytest
import torch

from loralab_core.ops import adam8bit_many  # noqa: F401  # its operator is defined there
from loralab_core.ops.library import LIBRARY
from tests.emulation.compile import cuda_library

OPERATORS = (  # those that csrc/binding/cuda has
    *("quant_matmul", "dequantize", "rms_norm", "rms_norm_backward", "rotary", "gated", "gated_backward"),
    *("gated_halves_backward", "softmax_loss_", "adam8bit_many_"),
)


@pytest.fixture(scope="session")
def emulated() -> Any:
    """With the schemas of torch.ops.loralab."""
    library = cuda_library()
    emulation = torch.library.Library("emulated", "DEF")
    for name in OPERATORS:
        schema = str(getattr(torch.ops.loralab, name).default._schema)
        emulation.define(schema.removeprefix("loralab::"))
    torch.ops.load_library(library)
    yield torch.ops.emulated
    assert LIBRARY is not None
    emulation._destroy()


@pytest.fixture
def run_in_order(emulated: Any) -> Iterator[Callable[[int], None]]:
    """In which order the threads of a block run until the test ends: 0 as they are, 1 in reverse, others shuffled."""
    choose = ctypes.CDLL(str(cuda_library())).emulation_set_order
    choose.argtypes = [ctypes.c_uint64]
    yield choose
    choose(0)


@pytest.fixture
def fused(emulated: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """The functions of loralab_core.ops take the way they take on a GPU, with the kernels run here."""
    held = {
        "norm": ("rms_norm", "rms_norm_backward"),
        "rotary": ("rotary",),
        "gated": ("gated", "gated_backward", "gated_halves_backward"),
        "softmax_loss": ("softmax_loss_",),
        "cross_entropy": (),
    }
    for name, operators in held.items():
        module = import_module(f"loralab_core.ops.{name}")
        monkeypatch.setattr(module, "has_kernel", lambda name, x: True)
        for operator in operators:
            monkeypatch.setattr(module, operator.upper(), getattr(emulated, operator).default)
