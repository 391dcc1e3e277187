"""The kernels for NVIDIA's GPUs on this computer's processor, thread for thread: torch.ops.emulated.*"""

from typing import Any

import pytest
import torch

from loralab_core.ops.library import LIBRARY
from tests.emulation.compile import cuda_library

OPERATORS = ("quant_matmul", "dequantize")  # those that csrc/binding/cuda has


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
