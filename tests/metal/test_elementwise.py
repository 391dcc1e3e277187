"""csrc/metal/norm, rotary, gate and loss.metal against PyTorch in float64."""

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from loralab_core.ops.elementwise import ACTIVATIONS
from loralab_core.ops.metal import elementwise
from tests.metal.exact import ROUNDING, TYPES, error, fibers_run, kernels, normal, poisoned

WIDTHS = [(1, 1), (3, 33), (5, 64), (2, 300), (1, 1030)]


def close(found: Tensor, expected: Tensor, dtype: torch.dtype) -> bool:
    """Off by what its own type rounds, and a thousandth of what all of it together would allow."""
    return error(found, expected) < 1e-5 + ROUNDING[dtype]


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("offset", [0.0, 1.0])
def test_rms_norm_and_its_gradient(dtype: torch.dtype, offset: float) -> None:
    for order, (rows, width) in enumerate(WIDTHS):
        for gain in (normal(width), normal(width).to(dtype)):
            x, dy = normal(rows, width).to(dtype), normal(rows, width, seed=1).to(dtype)
            wide = x.double().requires_grad_()
            expected = wide * torch.rsqrt(wide.pow(2).mean(-1, keepdim=True) + 1e-5) * (gain.double() + offset)
            expected.backward(dy.double())
            with poisoned(), fibers_run(order):
                y, scale = elementwise.rms_norm(kernels(), x, gain, 1e-5, offset)
                dx = elementwise.rms_norm_backward(kernels(), dy, x, gain, scale, offset)
            assert scale.shape == (rows, 1) and scale.dtype == torch.float32
            assert close(y, expected, dtype), (rows, width)
            if width > 1:  # of one element the gradient is what eps leaves of it
                assert close(dx, wide.grad, dtype), (rows, width)


def test_norms_of_heads_read_them_where_they_lie() -> None:
    both = normal(2, 3, 5, 48)
    x, gain = both[..., :24], normal(24)
    y, scale = elementwise.rms_norm(kernels(), x, gain, 1e-6, 0.0)
    assert close(y, F.rms_norm(x.double(), (24,), gain.double(), 1e-6), torch.float32)
    dx = elementwise.rms_norm_backward(kernels(), y, x, gain, scale, 0.0)
    same = elementwise.rms_norm_backward(kernels(), y, x.contiguous(), gain, scale, 0.0)
    assert torch.equal(dx, same)


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("width, pairs", [(8, 4), (64, 32), (80, 20), (6, 1)])
def test_rotary_turns_and_turns_back(dtype: torch.dtype, width: int, pairs: int) -> None:
    for batches in (1, 2):
        x = normal(2, 5, 4, 2 * width).to(dtype)[..., :width]
        angle = normal(batches, 5, 1, pairs).double()
        cos, sin = angle.cos().float(), angle.sin().float()
        left, right, rest = x.double().tensor_split((pairs, 2 * pairs), -1)
        for inverse in (False, True):
            s = -sin.double() if inverse else sin.double()
            c = cos.double()
            expected = torch.cat([left * c - right * s, right * c + left * s, rest], -1)
            with poisoned():
                y = elementwise.rotary(kernels(), x, cos, sin, inverse)
            assert y.is_contiguous() and close(y, expected, dtype)


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("activation", elementwise.ACTIVATIONS)
def test_gates_and_their_gradients(dtype: torch.dtype, activation: str) -> None:
    assert tuple(ACTIVATIONS) == elementwise.ACTIVATIONS
    for rows, width in WIDTHS:
        both = (3 * normal(rows, 2 * width)).to(dtype)
        dy = normal(rows, width, seed=1).to(dtype)
        gate, up = both.chunk(2, -1)
        wide = [each.double().requires_grad_() for each in (gate, up)]
        expected = ACTIVATIONS[activation](wide[0]) * wide[1]
        expected.backward(dy.double())
        with poisoned():
            y = elementwise.gated(kernels(), gate, up, activation)
            gradients = elementwise.gated_backward(kernels(), dy, gate, up, activation)
        assert close(y, expected, dtype)
        for ours, theirs in zip(gradients, wide, strict=True):
            assert close(ours, theirs.grad, dtype), (rows, width)


def test_gates_far_out_are_finite() -> None:
    gate = torch.tensor([[-200.0, -90.0, -11.0, 0.0, 11.0, 90.0, 200.0]])
    for activation in elementwise.ACTIVATIONS:
        ones = torch.ones_like(gate)
        assert torch.allclose(elementwise.gated(kernels(), gate, ones, activation), ACTIVATIONS[activation](gate))
        dgate, _ = elementwise.gated_backward(kernels(), ones, gate, ones, activation)
        assert dgate.isfinite().all()


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("rows, width", [(1, 1), (4, 31), (3, 700)])
def test_the_loss_and_its_gradient_in_place(dtype: torch.dtype, rows: int, width: int) -> None:
    for order, size in enumerate((1.0, 20.0)):
        logits = (normal(rows, width) * size).to(dtype)
        labels = torch.randint(width, (rows,), generator=torch.Generator().manual_seed(width))
        labels[2:3] = -100  # has no part in it
        wide = logits.double().requires_grad_()
        expected = F.cross_entropy(wide, labels, reduction="sum")
        (expected * 0.25).backward()
        with poisoned(), fibers_run(order):
            loss = elementwise.softmax_loss(kernels(), logits, labels, 0.25)
        assert loss.item() == pytest.approx(expected.item(), rel=1e-5, abs=1e-6)
        assert width == 1 or close(logits, wide.grad, dtype)


def test_a_logit_of_minus_infinity_takes_no_share() -> None:
    logits = torch.full((1, 100), -torch.inf)
    logits[0, 40:42] = torch.tensor([1.0, 2.0])
    loss = elementwise.softmax_loss(kernels(), logits, torch.tensor([41]), 1.0)
    assert loss.item() == pytest.approx(F.cross_entropy(torch.tensor([[1.0, 2.0]]), torch.tensor([1])).item())
    assert logits.isfinite().all() and logits[0, :40].eq(0).all()
