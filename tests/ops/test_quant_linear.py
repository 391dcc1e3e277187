"""Products with quantised weights: against dense float64, both directions, with an adapter beside."""

import pytest
import torch
from torch import Tensor

from loralab_core.ops import Lora, gated, gated_halves, linear, quant_linear
from loralab_core.ops.quant_linear import parts
from loralab_core.ops.quant_matmul import quant_matmul, reference
from loralab_core.quant import QuantTensor, quantize

KINDS = ["nf4", "int4", "int8"]


def matrix(kind: str, out: int, width: int, group: int = 32, **how: object) -> QuantTensor:
    generator = torch.Generator().manual_seed(out * 1000 + width)
    return quantize(torch.randn(out, width, generator=generator), kind, group, **how)  # type: ignore[arg-type]


def normal(*shape: int, dtype: torch.dtype = torch.float32) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(sum(shape))).to(dtype)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("transposed", [False, True])
@pytest.mark.parametrize("out, width", [(1, 1), (16, 64), (33, 100), (300, 7), (5, 200)])
def test_it_is_the_product_with_the_dense_matrix(kind: str, transposed: bool, out: int, width: int) -> None:
    weight = matrix(kind, out, width)
    dense = weight.dequantize(torch.float64)
    x = normal(3, out if transposed else width)
    left, right, bias = normal(3, 4), normal(width if transposed else out, 4), normal(width if transposed else out)
    expected = x.double() @ (dense if transposed else dense.t()) + left.double() @ right.double().t() + bias
    y = quant_matmul(x, weight, transposed=transposed, left=left, right=right, bias=bias)
    torch.testing.assert_close(y, expected.float(), rtol=1e-4, atol=1e-4)


def test_what_is_added_may_be_of_another_type_where_no_kernel_multiplies() -> None:
    weight, x = matrix("nf4", 16, 64), normal(3, 64, dtype=torch.bfloat16)
    left, right = normal(3, 4, dtype=torch.bfloat16), normal(16, 4)
    y = reference(x, weight, False, left, right, None)
    expected = x.double() @ weight.dequantize(torch.float64).t() + left.double() @ right.double().t()
    assert y.dtype == torch.bfloat16 and (y.double() - expected).norm() < 0.02 * expected.norm()


def test_a_weight_wider_than_a_slab_is_taken_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("loralab_core.ops.quant_matmul.SLAB", 1)
    weight = matrix("nf4", 300, 400)
    for transposed in (False, True):
        x = normal(2, 300 if transposed else 400)
        dense = weight.dequantize()
        expected = x @ (dense if transposed else dense.t())
        torch.testing.assert_close(quant_matmul(x, weight, transposed=transposed), expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("kind", KINDS)
def test_its_gradients_are_those_of_the_dense_layer(kind: str) -> None:
    weight = matrix(kind, 48, 80)
    bias, a, b = normal(48), normal(4, 80), normal(48, 4)
    found = []
    for form in (weight, weight.dequantize()):
        leaves = [tensor.clone().requires_grad_() for tensor in (normal(2, 3, 80), bias, a, b)]
        y = linear(leaves[0], form, leaves[1], Lora(leaves[2], leaves[3], 0.5, 0.25, seed=7))
        found.append([y, *torch.autograd.grad(y.square().sum(), leaves)])
    for ours, dense in zip(*found, strict=True):
        torch.testing.assert_close(ours, dense, rtol=1e-4, atol=1e-3)


def test_gradcheck() -> None:
    weight = matrix("nf4", 18, 40)
    leaves = [tensor.double().requires_grad_() for tensor in (normal(3, 40), normal(18), normal(2, 40), normal(18, 2))]
    assert torch.autograd.gradcheck(lambda x, bias, a, b: quant_linear(x, weight, bias, (a, b, 0.5)), leaves)
    assert torch.autograd.gradcheck(lambda x: quant_linear(x, weight), leaves[:1])


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("adapted", [True, False])
def test_opcheck(kind: str, adapted: bool) -> None:
    weight = matrix(kind, 18, 40)
    x = normal(3, 40).requires_grad_()
    a, b = normal(2, 40).requires_grad_(), normal(18, 2).requires_grad_()
    branch = (a, [b], [0.5], 0.0, None) if adapted else (None, [], [], 0.0, None)
    torch.library.opcheck(
        torch.ops.loralab.quant_linear.default, (x, *parts(weight), normal(18).requires_grad_(), *branch, "w4a16")
    )
    torch.library.opcheck(
        torch.ops.loralab.quant_matmul.default,
        (x.detach(), *parts(weight), False, normal(3, 2), normal(18, 2), None, "float32"),
    )


def test_no_rows_at_all() -> None:
    weight = matrix("nf4", 18, 40)
    assert quant_linear(normal(0, 40), weight).shape == (0, 18)
    assert quant_linear(normal(2, 0, 40), weight, None, (normal(2, 40), normal(18, 2), 1.0)).shape == (2, 0, 18)


def test_what_does_not_fit_says_what_was_expected() -> None:
    weight = matrix("nf4", 18, 40)
    with pytest.raises(ValueError, match=r"x of \[\.\.\., 40\] floats"):
        quant_linear(normal(3, 41), weight)
    with pytest.raises(ValueError, match="floats is wanted, not torch.int64"):
        quant_linear(torch.zeros(3, 40, dtype=torch.long), weight)
    with pytest.raises(ValueError, match=r"a bias of \[18\]"):
        quant_linear(normal(3, 40), weight, normal(17))
    with pytest.raises(ValueError, match=r"A \[r, 40\] and B \[18, r\]"):
        quant_linear(normal(3, 40), weight, None, (normal(2, 40), normal(18, 3), 1.0))
    with pytest.raises(ValueError, match="x is on meta"):
        quant_linear(torch.empty(3, 40, device="meta"), weight)
    with pytest.raises(ValueError, match="numeric class"):
        quant_linear(normal(3, 40), weight, compute="w4a4")  # type: ignore[arg-type]


def test_opcheck_of_merged_projections() -> None:
    x, a = normal(3, 40).requires_grad_(), normal(3, 40).requires_grad_()
    b = [normal(16, 2).requires_grad_(), normal(2, 0), normal(0, 1).requires_grad_()]
    how = (normal(18), a, b, [0.5, 0.0, 2.0], 0.0, None, "w4a16")
    torch.library.opcheck(torch.ops.loralab.quant_linear.default, (x, *parts(matrix("nf4", 18, 40)), *how))


@pytest.mark.parametrize("activation", ["silu", "gelu", "gelu_tanh", "relu"])
def test_halves_of_a_gate_are_the_gate(activation: str) -> None:
    both = normal(3, 10).double().requires_grad_()
    assert torch.equal(gated_halves(both, activation), gated(*both.chunk(2, -1), activation))
    assert torch.autograd.gradcheck(lambda x: gated_halves(x, activation), both)
