"""What products with quantised weights lose to rounding, against float64 with the weight's own values."""

from collections.abc import Iterator

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from loralab_core.ops import quant_linear
from loralab_core.ops.native.library import native
from loralab_core.ops.quant_matmul import parts, quant_matmul, reference
from loralab_core.quant import QuantTensor, quantize

SHAPES = [(576, 576), (1536, 576), (576, 1536), (2048, 2048), (333, 500)]  # [out, in]
PATHS = ["rows", "float32", "bf16", "gemm", "gemm32"]
ORDER = 1.005  # sums in another order round some results to the other side


@pytest.fixture(params=SHAPES, ids=str)
def shape(request: pytest.FixtureRequest) -> tuple[int, int]:
    return request.param  # type: ignore[no-any-return]


def matrix(shape: tuple[int, int], kind: str = "nf4") -> QuantTensor:
    return quantize(normal(*shape) / 20, kind)  # type: ignore[arg-type]


def normal(*shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(sum(shape)))


def error(y: Tensor, exact: Tensor) -> float:
    return float((y.double() - exact).norm() / exact.norm())


def directions(weight: QuantTensor, rows: int) -> Iterator[tuple[bool, Tensor, Tensor]]:
    """Transposed, x in bf16, and what x [rows, …] is multiplied by, in float64."""
    dense = weight.dequantize(torch.float64)
    for transposed, factor in ((False, dense.t()), (True, dense)):
        yield transposed, normal(rows, len(factor)).bfloat16(), factor


@pytest.mark.parametrize("kind", ["nf4", "int4", "int8"])
def test_16_bit_products_lose_no_more_than_a_dense_bf16_one(shape: tuple[int, int], kind: str) -> None:
    weight = matrix(shape, kind)
    for transposed, x, factor in directions(weight, 64):
        exact = x.double() @ factor
        dense = error(F.linear(x, factor.t().bfloat16()), exact)
        for path, y in products(x, weight, transposed):
            assert error(y, exact) < ORDER * dense, (path, transposed)


def products(x: Tensor, weight: QuantTensor, transposed: bool) -> Iterator[tuple[str, Tensor]]:
    yield "reference", reference(x, weight, transposed, None, None, None)
    for path in PATHS if native().library else []:
        yield path, torch.ops.loralab.quant_matmul(x, *parts(weight), transposed, None, None, None, path)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_8_bit_products_are_within_one_and_a_half_percent(shape: tuple[int, int], dtype: torch.dtype) -> None:
    assert both(normal(64, shape[1]).to(dtype), normal(64, shape[0]).to(dtype), matrix(shape)) < 0.015


@pytest.mark.parametrize("outliers", [1, 4, 31, 40])
@pytest.mark.parametrize("shape", SHAPES[:3], ids=str)
def test_large_columns_of_x_do_not_take_the_bits_of_the_others(shape: tuple[int, int], outliers: int) -> None:
    """The columns of the weight that meet them are as much smaller, so that y is not made of the outliers alone."""
    x, dense = normal(64, shape[1]), normal(*shape) / 20
    columns = torch.randperm(shape[1], generator=torch.Generator().manual_seed(outliers))[:outliers]
    x[:, columns] *= 50
    dense[:, columns] /= 50
    assert both(x, normal(64, shape[0]), quantize(dense, "nf4")) < 0.015


def both(x: Tensor, dy: Tensor, weight: QuantTensor) -> float:
    """The larger error of y and dx, in W4A8."""
    x.requires_grad_()
    y = quant_linear(x, weight, compute="w4a8")
    (dx,) = torch.autograd.grad(y, x, dy)
    dense = weight.dequantize(torch.float64)
    return max(error(y.detach(), x.detach().double() @ dense.t()), error(dx, dy.double() @ dense))


@pytest.mark.parametrize("bad", [torch.nan, torch.inf, -torch.inf])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_what_is_no_number_is_seen_behind_an_8_bit_product(bad: float, dtype: torch.dtype) -> None:
    """No integer says it, and a loss that hid it would go on training."""
    weight = matrix((64, 128))
    for transposed, factor in ((False, 128), (True, 64)):
        x = normal(40, factor).to(dtype)
        x[3, 5] = bad
        y = quant_matmul(x, weight, transposed=transposed, compute="w4a8")
        assert not y[3].isfinite().any()
        assert y[torch.arange(40) != 3].isfinite().all()
