"""csrc/metal/dequantize.metal against the format's formula in float64."""

import pytest
import torch

from loralab_core.ops.dequantize import ELEMENTS as the_operators
from loralab_core.ops.metal.dequantize import ELEMENTS, dequantize, dequantize_to, weight_arguments
from loralab_core.ops.quant_matmul import parts
from tests.metal.exact import KINDS, ROUNDING, TYPES, exact, kernels, matrix, poisoned

SHAPES = [(1, 1), (16, 64), (17, 65), (37, 130), (40, 300)]


@pytest.mark.parametrize("kind, group, zero_points", KINDS)
def test_dense_rows_are_what_the_formula_says(kind: str, group: int, zero_points: bool) -> None:
    for out, width in SHAPES:
        weight = matrix(kind, out, width, group, zero_points)
        for first, last in ((0, out), (out // 3, out - out // 4)):
            expected = exact(weight)[first:last]
            for dtype in TYPES:
                dense = torch.full((last - first, width), float("nan"), dtype=dtype)
                dequantize_to(kernels(), dense, weight_arguments(*parts(weight)), first, last)
                room = 2 * ROUNDING[dtype] * expected.abs() + 1e-6
                assert ((dense.double() - expected).abs() <= room).all(), (out, width, dtype)


def test_the_operator_allocates_and_checks_its_rows() -> None:
    weight = matrix("nf4", 37, 75, 64)
    assert the_operators == ELEMENTS
    with poisoned():
        dense = dequantize(kernels(), *parts(weight), 3, 30, 1)
    assert dense.dtype == torch.bfloat16 and dense.isfinite().all()
    assert dequantize(kernels(), *parts(weight), 5, 5, 0).shape == (0, 75)
    with pytest.raises(ValueError, match="rows 3 to 38 are not among the 37"):
        dequantize(kernels(), *parts(weight), 3, 38, 1)
