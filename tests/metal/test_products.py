"""csrc/metal/rows.metal and tiles.metal, and torch's product with a slab made dense, against sums in float64."""

import pytest
import torch
from torch import Tensor

from loralab_core.ops.metal.products import PATHS, choose, quant_matmul
from loralab_core.ops.quant_matmul import parts
from loralab_core.quant import QuantTensor
from tests.metal.exact import KINDS, ROUNDING, TYPES, error, exact, fibers_run, kernels, matrix, normal, poisoned

SHAPES = [(1, 1), (64, 64), (37, 75), (70, 200), (130, 33)]  # [out, in]
ROWS = {"rows": [1, 3, 8, 11], "tiles": [1, 31, 70], "gemm": [1, 31]}
ALLOWED = 1e-3  # of the norm
WAYS = [(path, way) for path in PATHS for way in (False, True) if not (path == "rows" and way)]


def product(
    path: str, x: Tensor, weight: QuantTensor, transposed: bool, *addend: Tensor | None
) -> tuple[Tensor, Tensor]:
    """Ours, and what it should be in float64."""
    left, right, bias = addend or (None, None, None)
    with poisoned():
        y = quant_matmul(kernels(), x, *parts(weight), transposed, left, right, bias, path)
    dense = exact(weight)
    expected = x.double() @ (dense if transposed else dense.t())
    if left is not None and right is not None:
        expected += left.double() @ right.double().t()
    return y, expected if bias is None else expected + bias.double()


def allowed(path: str, dtype: torch.dtype) -> float:
    """bfloat cannot say more than its rounding; where torch multiplies, the weight has been rounded to it as well."""
    return ALLOWED if dtype != torch.bfloat16 else ALLOWED + (2 if path == "gemm" else 1) * ROUNDING[dtype]


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("path, transposed", WAYS)
def test_every_shape_with_everything_added(path: str, transposed: bool, dtype: torch.dtype) -> None:
    for order, (out, width) in enumerate(SHAPES):
        weight = matrix("nf4", out, width, 32)
        inner, columns = (out, width) if transposed else (width, out)
        for rows in ROWS[path]:
            x, bias = normal(rows, inner).to(dtype), normal(columns)
            left, right = normal(rows, 5), normal(columns, 5, seed=1)
            with fibers_run(order):
                y, expected = product(path, x, weight, transposed, left, right, bias)
            assert y.dtype == dtype and error(y, expected) < allowed(path, dtype), (out, width, rows)


@pytest.mark.parametrize("kind, group, zero_points", KINDS)
@pytest.mark.parametrize("path, transposed", WAYS)
def test_every_kind_and_group(path: str, transposed: bool, kind: str, group: int, zero_points: bool) -> None:
    weight = matrix(kind, 50, 200, group, zero_points)
    for dtype in TYPES:
        y, expected = product(path, normal(7, 50 if transposed else 200).to(dtype), weight, transposed)
        assert error(y, expected) < allowed(path, dtype), dtype


@pytest.mark.parametrize("path, transposed", [("rows", False), ("tiles", False), ("tiles", True)])
def test_in_float32_it_is_float32_throughout(path: str, transposed: bool) -> None:
    weight = matrix("int4", 70, 300, 64, True)
    x = normal(5, 70 if transposed else 300)
    columns = 300 if transposed else 70
    y, expected = product(path, x, weight, transposed, normal(5, 40), normal(columns, 40, seed=1), normal(columns))
    assert error(y, expected) < 2e-6


@pytest.mark.parametrize("path, transposed", [("rows", False), ("tiles", False), ("tiles", True)])
def test_a_tiny_branch_survives_half_precision(path: str, transposed: bool) -> None:
    """Its B holds what a first update writes: numbers that half precision would round to nothing."""
    weight = matrix("nf4", 48, 64, 64)
    inner, columns = (48, 64) if transposed else (64, 48)
    left, right = normal(3, 8), 1e-9 * normal(columns, 8, seed=1)
    y, expected = product(path, torch.zeros(3, inner, dtype=torch.float16), weight, transposed, left * 1e5, right, None)
    assert error(y, expected) < ALLOWED


@pytest.mark.parametrize("path", PATHS)
def test_x_may_be_strided_or_empty(path: str) -> None:
    weight = matrix("nf4", 40, 96, 32)
    wide = normal(9, 200)
    for x in (wide[:, :96], wide[::2, 3:99], wide[1:, :192][:, ::2], normal(96, 9).t(), wide[:1, :96].expand(4, 96)):
        y, expected = product(path, x, weight, False)
        assert error(y, expected) < ALLOWED
    assert product(path, normal(0, 96), weight, False)[0].shape == (0, 40)


def test_parts_of_a_matrix_are_read_where_they_lie() -> None:
    weight = matrix("nf4", 80, 256, 64)
    for part in (weight.rows(16, 80), weight.columns(64, 200), weight.rows(32, 48)):
        for path in ("rows", "tiles"):
            y, expected = product(path, normal(3, part.shape[1]), part, False)
            assert error(y, expected) < ALLOWED


def test_few_rows_go_by_rows_and_only_forwards() -> None:
    assert [choose(rows, False) for rows in (1, 8, 9)] == ["rows", "rows", "tiles"]
    assert choose(1, True) == "tiles"


BAD = {
    "x must be .rows, 96.* not torch.float64": lambda x, w: (x.double(), *w, False, None, None, None, "rows"),
    "x must be .rows, 96.*, 95": lambda x, w: (x[:, :95], *w, False, None, None, None, "rows"),
    "path must be": lambda x, w: (x, *w, True, None, None, None, "rows"),
    "come together": lambda x, w: (x, *w, False, x, None, None, "rows"),
    r"left and right must be \[3, r\]": lambda x, w: (x, *w, False, x, x, None, "tiles"),
    r"bias must be \[40\]": lambda x, w: (x, *w, False, None, None, x[0], "tiles"),
}


@pytest.mark.parametrize("sentence", BAD)
def test_what_does_not_fit_is_said(sentence: str) -> None:
    transposed = sentence == "path must be"
    arguments = BAD[sentence](normal(3, 40 if transposed else 96), parts(matrix("nf4", 40, 96, 32)))
    with pytest.raises(ValueError, match=sentence):
        quant_matmul(kernels(), *arguments)
