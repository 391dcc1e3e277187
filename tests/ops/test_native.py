"""Compiled products against the reference, on every instruction set that runs here."""

from collections.abc import Iterator

import pytest
import torch
from torch import Tensor

from loralab_core.ops import dequantize
from loralab_core.ops.dequantize import _composite
from loralab_core.ops.native import check
from loralab_core.ops.native.library import available, native, use
from loralab_core.ops.quant_matmul import parts, quant_matmul, reference
from loralab_core.quant import QuantTensor, quantize

TOLERANCE = {"rows": 2e-5, "float32": 2e-5, "gemm": 2e-5, "gemm32": 2e-5, "bf16": 0.01, "int8": 0.03}
SHAPES = [(1, 1), (1, 200), (200, 1), (16, 64), (17, 65), (33, 100), (100, 33), (64, 512), (130, 300)]
ROWS = [1, 2, 5, 33]


@pytest.fixture(scope="module", params=["portable", "avx2", "avx512", "neon"])
def isa(request: pytest.FixtureRequest) -> Iterator[str]:
    library = native().library
    if library is None:
        pytest.skip("needs compiled kernels")
    if use(library, request.param) is None:
        pytest.skip(f"{request.param} is not compiled or does not run here")
    yield request.param
    use(library, None)


def matrix(kind: str, out: int, width: int, group: int = 32, zero_points: bool = False) -> QuantTensor:
    dense = torch.randn(out, width, generator=torch.Generator().manual_seed(out * 1000 + width))
    return quantize(dense, kind, group, zero_points=zero_points)  # type: ignore[arg-type]


def normal(*shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(sum(shape)))


def needs(path: str) -> None:
    """Skips where the instruction set in use has no such path; torch's own products are there on all."""
    library = native().library
    if library is not None and not path.startswith("gemm") and path not in available(library):
        pytest.skip(f"this instruction set has no path {path}")


def multiply(x: Tensor, weight: QuantTensor, transposed: bool, path: str, *addend: Tensor | None) -> Tensor:
    left, right, bias = addend or (None, None, None)
    y: Tensor = torch.ops.loralab.quant_matmul(x, *parts(weight), transposed, left, right, bias, path)
    return y


def relative(y: Tensor, expected: Tensor) -> float:
    return float((y.float() - expected).norm() / expected.norm().clamp_min(1e-6))


@pytest.mark.parametrize("path", TOLERANCE)
@pytest.mark.parametrize("transposed", [False, True])
def test_every_path_equals_the_reference_at_every_shape(isa: str, path: str, transposed: bool) -> None:
    needs(path)
    for out, width in SHAPES:
        weight = matrix("nf4", out, width)
        inner, columns = (out, width) if transposed else (width, out)
        for rows in ROWS:
            x, left, right, bias = normal(rows, inner), normal(rows, 3), normal(columns, 3), normal(columns)
            expected = reference(x, weight, transposed, left, right, bias)
            error = multiply(x, weight, transposed, path, left, right, bias) - expected
            squares = weight.dequantize().square()
            size = (x.square() @ (squares if transposed else squares.t())).sqrt()  # of sums that do not cancel
            assert error.norm() < TOLERANCE[path] * (size.norm() + expected.norm()), (out, width, rows)


@pytest.mark.parametrize("kind, group, zero_points", [("int4", 64, False), ("int4", 128, True), ("int8", 64, False)])
@pytest.mark.parametrize("path", TOLERANCE)
def test_every_kind_and_group(isa: str, path: str, kind: str, group: int, zero_points: bool) -> None:
    needs(path)
    weight = matrix(kind, 50, 200, group, zero_points)
    for transposed in (False, True):
        for dtype in (torch.float32, torch.bfloat16):
            x = normal(7, 50 if transposed else 200).to(dtype)
            y = multiply(x, weight, transposed, path)
            assert y.dtype == dtype
            allowed = max(TOLERANCE[path], 0.01 if dtype == torch.bfloat16 else 0)
            assert relative(y, reference(x.float(), weight, transposed, None, None, None)) < allowed


@pytest.mark.parametrize("path", TOLERANCE)
def test_x_may_be_strided_empty_or_of_one_row(isa: str, path: str) -> None:
    needs(path)
    weight = matrix("nf4", 40, 96)
    wide = normal(9, 200)
    for width, transposed in ((96, False), (40, True)):
        some = (
            wide[:, :width],
            wide[::2, 3 : 3 + width],
            wide[:, ::2][:, :width],
            wide[:1, 5 : 5 + width].expand(4, width),
        )
        for x in (*some, normal(width, 9).t()):
            expected = reference(x, weight, transposed, None, None, None)
            assert relative(multiply(x, weight, transposed, path), expected) < TOLERANCE[path]
    assert multiply(normal(0, 96), weight, False, path).shape == (0, 40)


def test_the_same_product_twice_is_the_same_bits(isa: str) -> None:
    weight, x = matrix("nf4", 300, 400), normal(37, 400)
    library = native().library
    assert library is not None
    for path in (*available(library), "gemm", "gemm32"):
        assert torch.equal(multiply(x, weight, False, path), multiply(x, weight, False, path)), path


def test_rows_come_out_dense(isa: str) -> None:
    for kind in ("nf4", "int4", "int8"):
        weight = matrix(kind, 37, 75)
        for dtype in (torch.float32, torch.bfloat16):
            rows = torch.ops.loralab.dequantize(*parts(weight), 3, 30, int(dtype == torch.bfloat16))
            torch.testing.assert_close(
                rows, weight.dequantize(dtype)[3:30], rtol=1e-2 if rows.itemsize == 2 else 1e-6, atol=1e-6
            )


def test_the_self_test_passes_here_and_notices_what_is_wrong(isa: str, monkeypatch: pytest.MonkeyPatch) -> None:
    library = native().library
    assert library is not None and check.failures(available(library)) == {}
    monkeypatch.setattr(check, "reference", lambda x, *rest: 1.1 * reference(x, *rest))
    assert set(check.failures(available(library))) == set(available(library))


BAD = {
    "x must be float32 or bfloat16, not float64": lambda x, w: (x.double(), *w, False, None, None, None, "rows"),
    "x must be .*, 96.*not .*95": lambda x, w: (x[:, :95], *w, False, None, None, None, "rows"),
    "path must be": lambda x, w: (x, *w, False, None, None, None, "fastest"),
    "group must be 32, 64 or 128, not 65": lambda x, w: (x, *w[:-1], 65, False, None, None, None, "rows"),
    "codes must be contiguous uint8": lambda x, w: (x, w[0].char(), *w[1:], False, None, None, None, "rows"),
    "scales must be": lambda x, w: (x, w[0], w[1][1:], *w[2:], False, None, None, None, "rows"),
    "need steps": lambda x, w: (x, *w[:2], None, *w[3:], False, None, None, None, "rows"),
    "codebook must be": lambda x, w: (x, *w[:3], w[3][:8], *w[4:], False, None, None, None, "rows"),
    "zeros must be": lambda x, w: (x, *w[:4], w[1][1:], *w[5:], False, None, None, None, "rows"),
    "cannot stand for rows": lambda x, w: (x, *w[:5], 1 << 40, w[6], False, None, None, None, "rows"),
    "left and right": lambda x, w: (x, *w, False, x, None, None, "rows"),
    "right must be": lambda x, w: (x, *w, False, x, x, None, "rows"),
    "bias must be": lambda x, w: (x, *w, False, None, None, x[0], "rows"),
    "strided": lambda x, w: (x, w[0].t().contiguous().t(), *w[1:], False, None, None, None, "rows"),
}


@pytest.mark.parametrize("sentence", BAD)
def test_what_does_not_fit_is_an_exception_that_says_what_was_expected(sentence: str) -> None:
    if native().library is None:
        pytest.skip("needs compiled kernels")
    arguments = BAD[sentence](normal(3, 96), parts(matrix("nf4", 40, 96)))
    with pytest.raises(RuntimeError, match=sentence):
        torch.ops.loralab.quant_matmul(*arguments)


def test_rows_beyond_the_weight_are_refused() -> None:
    if native().library is None:
        pytest.skip("needs compiled kernels")
    with pytest.raises(RuntimeError, match="rows 3 to 41 are not among the 40"):
        torch.ops.loralab.dequantize(*parts(matrix("nf4", 40, 96)), 3, 41, 0)


@pytest.mark.parametrize("kind", ["nf4", "int8"])
def test_dense_rows_without_kernels(kind: str) -> None:
    weight = matrix(kind, 40, 96)
    whole = weight.dequantize(torch.float64)
    assert torch.equal(dequantize(weight, torch.float64, 17, 30), whole[17:30])
    assert torch.equal(dequantize(weight, torch.float64), whole)
    assert torch.equal(_composite(*parts(weight), 17, 30, 0), weight.dequantize()[17:30])
    with pytest.raises(ValueError, match="rows 3 to 41 are not among the 40"):
        dequantize(weight, torch.float64, 3, 41)


def test_types_without_kernels_take_the_reference() -> None:
    weight, x = matrix("nf4", 40, 96), normal(3, 96).double()
    assert torch.equal(quant_matmul(x, weight), reference(x, weight, False, None, None, None))


@pytest.mark.parametrize("arguments", [(17, 30, False), (0, 40, True)])
def test_dense_rows_pass_opcheck(arguments: tuple[object, ...]) -> None:
    tests = ("test_schema", "test_faketensor", "test_autograd_registration")
    torch.library.opcheck(
        torch.ops.loralab.dequantize.default, (*parts(matrix("nf4", 40, 96)), *arguments), test_utils=tests
    )
