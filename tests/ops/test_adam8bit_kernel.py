"""The one-pass kernel does what the reference in torch does, at every level of instructions that runs here.

Its codes and scales have the same bits. Parameters may differ in the last one: torch's square root, on which no code
depends, is not always the nearest float.
"""

import ctypes
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from loralab_core.ops.adam8bit import AdamStep, adam_step, by_torch
from loralab_core.ops.blockwise8 import BLOCK, dynamic_map
from loralab_core.optim import AdamW8bit

ROOT = Path(__file__).parents[2]
AVX512 = ("-mavx512f", "-mavx512bw", "-DAVX512")
LEVELS = {
    "portable": ((), ()),
    "avx2": (("-mavx2", "-mfma"), ("avx2", "fma")),
    "avx512": (AVX512, ("avx512f", "avx512bw")),
    "avx512 vbmi": ((*AVX512, "-mavx512vbmi"), ("avx512f", "avx512bw", "avx512vbmi")),
}
HOW = {"lr": 1e-2, "betas": (0.9, 0.999), "eps": 1e-8, "weight_decay": 0.1}

Step = Callable[[torch.Tensor, torch.Tensor, dict[str, torch.Tensor], AdamStep], None]


def address(tensor: torch.Tensor) -> ctypes.c_void_p:
    return ctypes.c_void_p(tensor.data_ptr())


@pytest.fixture(scope="module", params=LEVELS)
def kernel(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Step:
    flags, needed = LEVELS[request.param]
    information = Path("/proc/cpuinfo")
    known = information.read_text().split() if information.exists() else []
    if shutil.which("g++") is None or not set(needed) <= set(known):
        pytest.skip("no compiler, or not this processor")
    library = tmp_path_factory.mktemp("kernel") / "adam8bit.so"
    how = ("-O3", "-std=c++17", "-shared", "-fPIC", "-ffp-contract=off", "-I", str(ROOT), "-o", str(library))
    source = str(ROOT / "tests" / "ops" / "adam8bit_abi.cpp")
    subprocess.run(["g++", *how, *flags, source], check=True, capture_output=True)
    loaded = ctypes.CDLL(str(library))
    loaded.fill(address(dynamic_map(True)), address(dynamic_map(False)))

    def step(
        parameter: torch.Tensor, gradient: torch.Tensor, state: dict[str, torch.Tensor], numbers: AdamStep
    ) -> None:
        types = [str(tensor.dtype).removeprefix("torch.") for tensor in (parameter, gradient)]
        names = ("exp_avg", "exp_avg_sq", "exp_avg_scale", "exp_avg_sq_scale")
        tensors = [address(tensor) for tensor in (parameter, gradient, *(state[name] for name in names))]
        scalars = torch.tensor(numbers[:8])
        seed = ctypes.c_uint64(numbers.seed)
        getattr(loaded, "_".join(types))(*tensors, ctypes.c_int64(parameter.numel()), address(scalars), seed)

    return step


@pytest.mark.parametrize("gradient_type", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("parameter_type", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("count", [4096, 40 * BLOCK + 1, 70_000])
def test_the_same_states_and_parameters(
    kernel: Step, count: int, parameter_type: torch.dtype, gradient_type: torch.dtype
) -> None:
    generator = torch.Generator().manual_seed(count)
    ours = torch.randn(count, generator=generator).to(parameter_type)
    theirs = ours.clone()
    one, other = AdamW8bit([ours], **HOW).fresh(ours), AdamW8bit([theirs], **HOW).fresh(theirs)
    for number in range(1, 9):
        size = 10 ** (6 * torch.rand(count, generator=generator) - 6)
        gradient = (torch.randn(count, generator=generator) * size).to(gradient_type)
        gradient[number * BLOCK : 2 * number * BLOCK] = 0
        numbers = adam_step(**HOW, number=number, seed=number << 40 | 17)
        kernel(ours, gradient, one, numbers)
        by_torch(theirs, gradient, other, numbers)
        assert all(torch.equal(one[name], other[name]) for name in one), number
    if parameter_type == torch.float32:
        torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-5)
    else:  # the same chance, so the same rounding, but where it hangs on that bit
        assert (ours != theirs).float().mean() < 1e-3
