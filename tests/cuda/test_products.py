"""Products with quantised weights, by the CUDA kernels run on a CPU, against float64."""

from typing import Any

import pytest
import torch
from torch import Tensor

from loralab_core.ops.quant_matmul import parts
from loralab_core.quant import QuantTensor, quantize

TYPES = (torch.bfloat16, torch.float16)
FORMS = [("nf4", 32, False), ("nf4", 64, False), ("nf4", 128, False), ("int4", 64, True), ("int8", 64, False)]
SHAPES = [(1, 1), (16, 64), (17, 65), (40, 328), (100, 33), (5, 1100)]
ROWS = (1, 3, 8, 9, 17)
COARSE = {"int8": 0.02, "fp8": 0.05}
ROUNDING = {torch.bfloat16: 6e-3, torch.float16: 1e-3, torch.float32: 1e-5}


def matrix(kind: str, out: int, width: int, group: int = 64, zero_points: bool = False) -> QuantTensor:
    dense = torch.randn(out, width, generator=torch.Generator().manual_seed(out * 1000 + width))
    return quantize(dense, kind, group, zero_points=zero_points)  # type: ignore[arg-type]


def normal(*shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(sum(shape)))


def error(y: Tensor, expected: Tensor) -> float:
    """Relative; NaN, such as of an element nobody wrote, is never small."""
    return float((y.double() - expected).norm() / expected.norm())


def exact(x: Tensor, weight: QuantTensor, transposed: bool, *addend: Tensor) -> Tensor:
    dense = weight.dequantize().double()
    y = x.double() @ (dense if transposed else dense.t())
    if addend:
        left, right, bias = addend
        y += left.double() @ right.double().t() + bias
    return y


def multiply(emulated: Any, path: str, x: Tensor, weight: QuantTensor, transposed: bool, *addend: Tensor) -> Tensor:
    y: Tensor = emulated.quant_matmul(x, *parts(weight), transposed, *(addend or (None, None, None)), path)
    return y


@pytest.mark.parametrize(("kind", "group", "zero_points"), FORMS)
@pytest.mark.parametrize("dtype", [torch.float32, *TYPES])
def test_dequantised_as_the_reference_does(
    emulated: Any, kind: str, group: int, zero_points: bool, dtype: torch.dtype
) -> None:
    number = [torch.float32, torch.bfloat16, torch.float16].index(dtype)
    for out, width in SHAPES:
        weight = matrix(kind, out, width, group, zero_points)
        dense = emulated.dequantize(*parts(weight), 0, out, number)
        expected = weight.dequantize(dtype)
        torch.testing.assert_close(dense, expected, rtol=1e-6 if number == 0 else 1e-2, atol=1e-6)
        some = emulated.dequantize(*parts(weight), out // 3, out, number)
        assert torch.equal(some, dense[out // 3 :])


@pytest.mark.parametrize(("kind", "group", "zero_points"), FORMS)
@pytest.mark.parametrize("path", ["rows", "tiles", "hopper", "gemm", "int8"])
def test_every_shape(emulated: Any, kind: str, group: int, zero_points: bool, path: str) -> None:
    if path in ("tiles", "hopper") and kind == "int8":
        pytest.skip(f"the path {path} is for 4 bits")
    few = path in ("rows", "gemm")  # the others compute whole tiles, however small y is
    for number, (out, width) in enumerate(SHAPES):
        weight, dtype = matrix(kind, out, width, group, zero_points), TYPES[number % 2]
        for rows in ROWS if few else ROWS[number % 2 :: 3]:
            for transposed in (False, True) if path != "rows" else (False,):
                x = normal(rows, out if transposed else width).to(dtype)
                columns = width if transposed else out
                addend = (normal(rows, 5), normal(columns, 5), normal(columns))
                y = multiply(emulated, path, x, weight, transposed, *addend)
                allowed = max(2 * ROUNDING[dtype], COARSE.get(path, 0))
                assert error(y, exact(x, weight, transposed, *addend)) < allowed, (out, width, rows)


def test_few_rows_round_no_more_than_a_dense_product(emulated: Any) -> None:
    weight, x = matrix("nf4", 256, 2048), normal(4, 2048).bfloat16()
    expected = exact(x, weight, False)
    dense = x @ weight.dequantize(torch.bfloat16).t()
    assert error(multiply(emulated, "rows", x, weight, False), expected) <= 1.05 * error(dense, expected)


@pytest.mark.parametrize("path", ["rows", "tiles", "gemm"])
def test_strided_and_empty_x(emulated: Any, path: str) -> None:
    weight = matrix("nf4", 48, 96)
    wide = normal(6, 300).bfloat16()
    for x in (wide[:, 100:196], wide[::2, 7:103], wide.t()[:96, :].t()):
        assert error(multiply(emulated, path, x, weight, False), exact(x, weight, False)) < 6e-3
    assert multiply(emulated, path, x[:0], weight, False).shape == (0, 48)


def test_several_tiles_each_way(emulated: Any) -> None:
    """More rows of tiles than a band has, the last of each kind not full."""
    weight = matrix("nf4", 136, 296)  # in boxes only where rows are whole pieces of 16 bytes
    for path, transposed in (("tiles", False), ("tiles", True), ("hopper", False), ("hopper", True)):
        x = normal(1200, weight.shape[0 if transposed else 1]).bfloat16()
        assert error(multiply(emulated, path, x, weight, transposed), exact(x, weight, transposed)) < 6e-3


@pytest.mark.parametrize(("path", "allowed"), [("int8", 0.015), ("fp8", 0.045)])
@pytest.mark.parametrize("transposed", [False, True])
def test_8_bits_on_gaussian_inputs(emulated: Any, path: str, allowed: float, transposed: bool) -> None:
    weight = matrix("nf4", 256, 512)
    x = normal(70, weight.shape[0 if transposed else 1]).bfloat16()
    assert error(multiply(emulated, path, x, weight, transposed), exact(x, weight, transposed)) < allowed


@pytest.mark.parametrize("path", ["rows", "tiles", "hopper", "gemm", "int8", "fp8"])
@pytest.mark.parametrize("value", [torch.inf, -torch.inf, torch.nan])
def test_what_is_not_finite_stays_so(emulated: Any, value: float, path: str) -> None:
    """Or a gradient that fp16 could not hold would pass for one that it could."""
    for transposed in [False] if path == "rows" else [False, True]:
        x = normal(4 if path == "rows" else 40, 96 if transposed else 128)
        x = x.bfloat16() if path == "fp8" else x.half()
        x[2, 7] = value
        finite = multiply(emulated, path, x, matrix("nf4", 96, 128), transposed).isfinite()
        assert not finite[2].any() and finite[3].all()


@pytest.mark.parametrize("outliers", [1, 7, 32, 60])
def test_outlying_columns_stay_out_of_8_bits(emulated: Any, outliers: int) -> None:
    """Sixty are more than there is room for; the largest are still taken."""
    weight, x = matrix("nf4", 96, 640), normal(20, 640)
    x[:, torch.arange(outliers) * 10] *= torch.linspace(40, 400, outliers)
    y = multiply(emulated, "int8", x.bfloat16(), weight, False)
    assert error(y, exact(x.bfloat16(), weight, False)) < (0.006 if outliers <= 32 else 0.02)


def test_8_bits_where_everything_is_zero(emulated: Any) -> None:
    weight = quantize(torch.zeros(20, 64), "nf4")
    for x in (torch.zeros(3, 64), normal(3, 64)):
        assert not multiply(emulated, "int8", x.bfloat16(), weight, False).any()
    assert not multiply(emulated, "int8", torch.zeros(3, 20).bfloat16(), matrix("nf4", 20, 64), True).any()


def test_the_same_bits_every_time(emulated: Any) -> None:
    weight, x = matrix("nf4", 40, 1000), normal(3, 1000).bfloat16()
    assert torch.equal(multiply(emulated, "rows", x, weight, False), multiply(emulated, "rows", x, weight, False))


def test_what_does_not_fit_is_said(emulated: Any) -> None:
    weight, x = matrix("nf4", 48, 96), normal(2, 96).bfloat16()
    for given, sentence in (
        ((normal(2, 95).bfloat16(), weight, False), r"x must be \[rows, 96\]"),
        ((x.double(), weight, False), "not float64"),
        ((x, weight, True), r"x must be \[rows, 48\]"),
        ((x.float(), weight, False), "bfloat16 or float16"),
        ((x, weight, False, normal(2, 3), normal(48, 4), normal(48)), r"\[2, 3\] and \[48, 4\]"),
        ((x, weight, False, normal(2, 3), normal(48, 3), normal(47)), r"bias must be \[48\]"),
    ):
        with pytest.raises(RuntimeError, match=sentence):
            multiply(emulated, "rows", *given)
    with pytest.raises(RuntimeError, match="path must be"):
        multiply(emulated, "columns", x, weight, False)
