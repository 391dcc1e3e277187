"""Norms, rotary positions and gates by the CUDA kernels, run on a CPU, against float64."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from tests.cuda.exact import (
    ORDERS,
    ROUNDING,
    TYPES,
    error,
    exact_gated,
    exact_gradients,
    exact_norm,
    exact_rotary,
    normal,
    poisoned,
)

WIDTHS = (1, 7, 8, 33, 64, 128, 260, 576, 1032, 4096, 20_000)
ACTIVATIONS = ("silu", "gelu", "gelu_tanh", "relu")


def widened(x: Tensor) -> Tensor:
    return x.double().requires_grad_()


@pytest.mark.parametrize("offset", [0.0, 1.0])
@pytest.mark.parametrize("gain_type", [None, torch.float32, torch.bfloat16])
@pytest.mark.parametrize("dtype", TYPES)
def test_norms(emulated: Any, dtype: torch.dtype, gain_type: torch.dtype | None, offset: float) -> None:
    for width in WIDTHS:
        x, dy = normal(5, width, dtype=dtype), normal(5, width, dtype=dtype, seed=1)
        gain = normal(width, dtype=gain_type or dtype)
        with poisoned():
            y, scale = emulated.rms_norm(x, gain, 1e-5, offset)
            dx = emulated.rms_norm_backward(dy, x, gain, scale, offset)
        wide = widened(x)
        expected = exact_norm(wide, gain, 1e-5, offset)
        assert (y.dtype, dx.dtype, scale.dtype, scale.shape) == (dtype, dtype, torch.float32, (5, 1))
        assert error(y, expected) < ROUNDING[dtype], width
        if width > 1:  # of one number nothing is left but what rounding leaves
            assert error(dx, exact_gradients(expected, dy, wide)[0]) < 2 * ROUNDING[dtype], width
        assert error(scale, (wide.square().mean(-1, keepdim=True) + 1e-5).rsqrt()) < 1e-6, width


@pytest.mark.parametrize("dtype", TYPES)
def test_norms_of_views(emulated: Any, dtype: torch.dtype) -> None:
    """Heads of a part of a wider projection, as queries and keys are normed; and what no two strides describe."""
    wide = normal(2, 3, 200, dtype=dtype)
    for x in (
        wide[..., 40:136].view(2, 3, 4, 24),
        wide[:, 1:2, :40],
        wide[..., 1:65],
        normal(2, 4, 3, 24, dtype=dtype).transpose(1, 2),
        normal(24, 5, dtype=dtype).t(),
        wide[0, 0],
    ):
        gain, whole = normal(x.shape[-1], dtype=dtype), widened(x)
        expected, dy = exact_norm(whole, gain, 1e-6, 0.0), normal(*x.shape, dtype=dtype, seed=1)
        with poisoned():
            y, scale = emulated.rms_norm(x, gain, 1e-6, 0.0)
            dx = emulated.rms_norm_backward(dy, x, gain, scale, 0.0)
        assert y.is_contiguous() and dx.is_contiguous() and scale.shape == (*x.shape[:-1], 1)
        assert error(y, expected) < ROUNDING[dtype]
        assert error(dx, exact_gradients(expected, dy, whole)[0]) < 2 * ROUNDING[dtype]


TURNS = [(32, 16), (24, 8), (10, 3), (80, 40), (64, 0), (128, 64)]  # size of a head, pairs that are turned


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("rows", [1, 2])
def test_rotary_positions(emulated: Any, dtype: torch.dtype, rows: int) -> None:
    for size, half in TURNS:
        angle = normal(rows, 5, 1, half)
        turn = angle.cos(), angle.sin()
        wide = normal(2, 5, 3 * size + 17, dtype=dtype)
        for x in (
            normal(2, 5, 3, size, dtype=dtype),
            wide[..., 16 : 16 + 3 * size].view(2, 5, 3, size),
            wide[..., 1 : 1 + 3 * size].view(2, 5, 3, size),
            normal(2, 3, 5, size, dtype=dtype).transpose(1, 2),
        ):
            with poisoned():
                y, back = (emulated.rotary(x, *turn, inverse) for inverse in (False, True))
            whole = widened(x)
            expected = exact_rotary(whole, *turn)
            assert y.is_contiguous() and y.dtype == dtype
            assert error(y, expected) < ROUNDING[dtype], (size, half)
            assert error(back, exact_gradients(expected, x, whole)[0]) < ROUNDING[dtype], (size, half)


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("dtype", TYPES)
def test_gates(emulated: Any, dtype: torch.dtype, activation: str) -> None:
    for rows, width in [(1, 1), (3, 7), (5, 8), (4, 33), (3, 2048), (2, 1100)]:
        gate, up, dy = (3 * normal(rows, width, dtype=dtype, seed=seed) for seed in range(3))
        with poisoned():
            y = emulated.gated(gate, up, activation)
            gradients = emulated.gated_backward(dy, gate, up, activation)
        inputs = widened(gate), widened(up)
        expected = exact_gated(*inputs, activation)
        assert error(y, expected) < 2 * ROUNDING[dtype], (rows, width)
        for found, wanted in zip(gradients, exact_gradients(expected, dy, *inputs), strict=True):
            assert error(found, wanted) < 2 * ROUNDING[dtype], (rows, width)


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("dtype", TYPES)
def test_gates_of_halves(emulated: Any, dtype: torch.dtype, activation: str) -> None:
    for both in (
        normal(2, 3, 64, dtype=dtype),
        normal(5, 18, dtype=dtype),
        normal(2, 3, 80, dtype=dtype)[..., 8:72],
        normal(34, dtype=dtype),
        normal(2, 3, 4, 16, dtype=dtype).transpose(1, 2),
    ):
        gate, up = both.chunk(2, -1)
        dy = normal(*gate.shape, dtype=dtype, seed=7)
        with poisoned():
            y, dboth = emulated.gated(gate, up, activation), emulated.gated_halves_backward(dy, both, activation)
        whole = widened(both)
        expected = exact_gated(*whole.chunk(2, -1), activation)
        assert y.is_contiguous() and dboth.is_contiguous()
        assert error(y, expected) < 2 * ROUNDING[dtype]
        assert error(dboth, exact_gradients(expected, dy, whole)[0]) < 2 * ROUNDING[dtype]


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_gates_far_out(emulated: Any, activation: str) -> None:
    gate = torch.tensor([-1e4, -200.0, -90.0, -20.0, -0.0, 0.0, 20.0, 90.0, 200.0, 1e4])
    inputs = widened(gate), widened(torch.ones(10))
    expected = exact_gated(*inputs, activation)
    dgate, dup = emulated.gated_backward(torch.ones(10), gate, torch.ones(10), activation)
    wanted = exact_gradients(expected, torch.ones(10), *inputs)
    torch.testing.assert_close(emulated.gated(gate, torch.ones(10), activation), expected.float(), atol=1e-6, rtol=1e-5)
    torch.testing.assert_close(dgate, wanted[0].float(), atol=1e-6, rtol=1e-5)
    torch.testing.assert_close(dup, wanted[1].float(), atol=1e-6, rtol=1e-5)


def test_nothing_at_all(emulated: Any) -> None:
    none = torch.empty(0, 4, 16)
    assert emulated.rms_norm(none, torch.ones(16), 1e-5, 0.0)[0].shape == none.shape
    assert emulated.gated(none, none, "silu").shape == none.shape
    assert emulated.gated_halves_backward(none[..., :8], none, "silu").shape == none.shape
    assert emulated.rotary(none[None], *(torch.ones(1, 0, 1, 8) for _ in range(2)), False).shape == (1, 0, 4, 16)


@pytest.mark.parametrize("order", ORDERS)
def test_the_order_of_threads_is_nothing_to_them(
    emulated: Any, run_in_order: Callable[[int], None], order: int
) -> None:
    def results() -> list[Tensor]:
        found = []
        for width in (100, 128, 4096):
            x, gain = normal(3, width).bfloat16(), normal(width).bfloat16()
            y, scale = emulated.rms_norm(x, gain, 1e-5, 0.0)
            found += [y, scale, emulated.rms_norm_backward(y, x, gain, scale, 0.0)]
            found += [emulated.gated(x, y, "silu"), *emulated.gated_backward(y, x, y, "gelu")]
        return found

    expected = results()
    run_in_order(order)
    assert all(torch.equal(one, other) for one, other in zip(results(), expected, strict=True))


def test_what_does_not_fit_is_said(emulated: Any) -> None:
    x, gain, scale = normal(3, 16), normal(16), torch.ones(3, 1)
    angle = torch.ones(1, 3, 1, 8)
    heads = x.view(1, 3, 1, 16)
    for work, sentence in (
        (lambda: emulated.rms_norm(x.double(), gain, 1e-5, 0.0), "x must be float32, bfloat16 or float16, not float64"),
        (lambda: emulated.rms_norm(x, gain[:15], 1e-5, 0.0), r"gain must be \[16\] on an emulated GPU, not \[15\]"),
        (lambda: emulated.rms_norm(gain[0], gain, 1e-5, 0.0), "must have a last dimension"),
        (lambda: emulated.rms_norm_backward(x[:2], x, gain, scale, 0.0), r"dy must be float32 \[3, 16\]"),
        (
            lambda: emulated.rms_norm_backward(x, x, gain, scale[:2], 0.0),
            "scale must be .* of 3 elements",
        ),
        (lambda: emulated.rms_norm_backward(x.half(), x, gain, scale, 0.0), "not float16"),
        (lambda: emulated.rotary(x, angle, angle, False), r"x must be \[batch, time, heads, size\], not \[3, 16\]"),
        (lambda: emulated.rotary(heads, angle[:, :2], angle, False), r"cos must be \[1 or 1, 3, 1, up to 8\]"),
        (lambda: emulated.rotary(heads, angle, angle[:, :2], False), r"sin must be \[1, 3, 1, 8\] as cos is"),
        (lambda: emulated.rotary(heads, angle.half(), angle, False), "cos must be contiguous float32"),
        (lambda: emulated.gated(x, x[:2], "silu"), r"up must be float32 \[3, 16\] on an emulated GPU"),
        (lambda: emulated.gated(x, x, "tanh"), "activation must be silu, gelu, gelu_tanh or relu, not tanh"),
        (lambda: emulated.gated_backward(x[:, :8], x, x, "silu"), r"dy must be float32 \[3, 16\]"),
        (lambda: emulated.gated_halves_backward(x, x, "silu"), "dy must be half as wide as both"),
        (lambda: emulated.gated_halves_backward(x, x[:, :15], "silu"), "both must hold two halves"),
    ):
        with pytest.raises(RuntimeError, match=sentence):
            work()
