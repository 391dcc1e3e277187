"""Every kernel compiles for every chip, within its registers; the library loads where there is no GPU."""

import subprocess
import sys
from pathlib import Path

import pytest

from loralab_core.ops.native import gpu, nvcc
from loralab_core.ops.native.sources import sources

LOADED = """
import sys, torch, loralab_core.ops
from loralab_core.ops.quant_matmul import parts
from loralab_core.quant import quantize
torch.ops.load_library(sys.argv[1])
on_gpu = torch._C.DispatchKeySet(torch._C.DispatchKey.CUDA)
weight, multiply = quantize(torch.randn(16, 64), "nf4"), torch.ops.loralab.quant_matmul.default
for x in (torch.randn(2, 64), torch.randn(2, 63)):
    try:
        multiply.redispatch(on_gpu, x.bfloat16(), *parts(weight), False, None, None, None, "rows")
    except RuntimeError as refused:
        print(refused)
print(multiply(torch.randn(2, 64), *parts(weight), False, None, None, None, "gemm").shape)
"""


pytestmark = pytest.mark.xdist_group("nvcc")  # compiled once, not by every worker

# Kernels that may keep something in memory, and why it is worth it: (a part of the name, the chip) → bytes.
SPILLS: dict[tuple[str, str], int] = {}


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """For all chips at once."""
    if nvcc.find_nvcc() is None:
        pytest.skip("needs nvcc")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LORALAB_HOME", str(tmp_path_factory.mktemp("home")))
        return gpu.library_for(nvcc.TARGETS, lambda sentence: None)


def test_every_kernel_fits_into_registers_on_every_chip(library: Path) -> None:
    kernels = nvcc.resources(library)
    assert {kernel.target for kernel in kernels} == set(nvcc.TARGETS)
    assert len(kernels) >= len(nvcc.TARGETS) * len(list((sources() / "cuda").glob("*.cu")))
    too_many = [kernel for kernel in kernels if kernel.spilled > allowed(kernel)]
    assert not too_many, "\n".join(map(str, too_many))


def allowed(kernel: nvcc.Kernel) -> int:
    return max(
        (bytes_ for (name, target), bytes_ in SPILLS.items() if name in kernel.name and target == kernel.target),
        default=0,
    )


def test_it_loads_where_torch_has_no_cuda_and_refuses_what_is_not_on_a_gpu(library: Path) -> None:
    asked = [sys.executable, "-c", LOADED, str(library)]
    done = subprocess.run(asked, capture_output=True, text=True, check=True, cwd=Path(__file__).parents[2])
    first, second, third = done.stdout.splitlines()
    assert "on a GPU, not float32 [16]" in first or "on another device" in first
    assert "on a GPU" in second
    assert third == "torch.Size([2, 16])"
