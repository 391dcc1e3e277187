"""The compiled quantiser: the reference's codes bit for bit where it rounds, as near as the reference where it fits."""

import ctypes
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor

from loralab_core.quant import QuantTensor, quantize

ROOT = Path(__file__).parents[2]
SOURCE = Path(__file__).with_name("quantize_kernel.cpp")
FORMS = [("nf4", False), ("int4", False), ("int4", True)]
Kernel = Callable[[Tensor, QuantTensor, bool], QuantTensor]


@pytest.fixture(scope="module")
def kernel(tmp_path_factory: pytest.TempPathFactory) -> Kernel:
    if not (compiler := shutil.which("g++")):
        pytest.skip("needs g++ to compile the kernel")
    built = tmp_path_factory.mktemp("kernel") / "quantize.so"
    how = ["-std=c++17", "-O2", "-Wall", "-Wextra", "-Werror", "-shared", "-fPIC", f"-I{ROOT / 'csrc' / 'cpu'}"]
    subprocess.run([compiler, *how, SOURCE, "-o", built], check=True)
    library = ctypes.CDLL(str(built))

    def run(weight: Tensor, like: QuantTensor, fitted: bool) -> QuantTensor:
        parts = {name: torch.full_like(tensor, 77) for name, tensor in like.tensors().items() if name != "codebook"}
        place = {name: ctypes.c_void_p(tensor.data_ptr()) for name, tensor in parts.items()}
        library.quantize_whole(
            ctypes.c_void_p(weight.data_ptr()),
            ctypes.c_int(weight.dtype == torch.bfloat16),
            *(ctypes.c_int64(size) for size in (*like.shape, weight.stride(0), like.group)),
            ctypes.c_void_p(like.codebook.data_ptr()),  # type: ignore[union-attr]
            ctypes.c_int(fitted),
            *(place.get(name) for name in ("codes", "scales", "steps", "zeros")),
        )
        return QuantTensor(like.kind, like.shape, like.group, codebook=like.codebook, **parts)

    return run


def gaussian(out: int, width: int) -> Tensor:
    """With a group of zeros, a row of them, a row that is much larger and one far off zero."""
    weight = torch.randn(out, width, generator=torch.Generator().manual_seed(out * width))
    weight[0, :128] = 0
    weight[1::7] = 0
    weight[2::9] *= 50
    weight[3::5] += 2
    return weight


@pytest.mark.parametrize(("kind", "zero_points"), FORMS)
@pytest.mark.parametrize("group", [32, 64, 128])
@pytest.mark.parametrize("shape", [(1, 1), (16, 128), (17, 130), (50, 449)])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_nearest_is_the_reference_bit_for_bit(
    kernel: Kernel, kind: str, zero_points: bool, group: int, shape: tuple[int, int], dtype: torch.dtype
) -> None:
    weight = gaussian(*shape).to(dtype)
    expected = quantize(weight, kind, group, zero_points=zero_points)  # type: ignore[arg-type]
    found = kernel(weight, expected, False)
    for name, tensor in expected.tensors().items():
        assert torch.equal(found.tensors()[name], tensor), name


@pytest.mark.parametrize(("kind", "zero_points"), FORMS)
@pytest.mark.parametrize("group", [32, 64, 128])
@pytest.mark.parametrize("shape", [(17, 130), (50, 449)])
def test_fitted_is_as_near_as_the_reference(
    kernel: Kernel, kind: str, zero_points: bool, group: int, shape: tuple[int, int]
) -> None:
    weight = gaussian(*shape)
    expected = quantize(weight, kind, group, method="fitted", zero_points=zero_points)  # type: ignore[arg-type]
    found = kernel(weight, expected, True)
    errors = [float((each.dequantize() - weight).square().sum()) for each in (found, expected)]
    assert errors[0] == pytest.approx(errors[1], rel=1e-3)
    assert float((found.codes == expected.codes).float().mean()) > 0.99


def test_rows_of_a_wider_matrix(kernel: Kernel) -> None:
    weight = gaussian(20, 300)[:, 40:232]
    expected = quantize(weight.contiguous(), "nf4")
    assert torch.equal(kernel(weight, expected, False).codes, expected.codes)
