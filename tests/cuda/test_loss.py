"""The loss of rows of logits by the CUDA kernel, run on a CPU, against float64."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from tests.cuda.exact import ORDERS, ROUNDING, TYPES, error, normal, poisoned

SHAPES = [(1, 1), (3, 5), (4, 61), (2, 1024), (3, 1025), (2, 4099), (1, 33_001), (300, 17)]
CPU = torch.device("cpu")


def labels_of(rows: int, width: int) -> Tensor:
    """Among them the first and the last."""
    some = torch.randint(0, width, (rows,), generator=torch.Generator().manual_seed(rows))
    some[0], some[-1] = width - 1, 0
    return some


def exact_loss(logits: Tensor, labels: Tensor, scale: float) -> tuple[Tensor, Tensor]:
    wide = logits.double().requires_grad_()
    loss = F.cross_entropy(wide, labels, reduction="sum")
    return loss.detach(), torch.autograd.grad(loss, wide)[0] * scale


@pytest.mark.parametrize("dtype", TYPES)
def test_every_shape(emulated: Any, dtype: torch.dtype) -> None:
    for rows, width in SHAPES:
        logits, labels = 4 * normal(rows, width, dtype=dtype), labels_of(rows, width)
        expected, slope = exact_loss(logits, labels, 0.25)
        with poisoned():
            loss = emulated.softmax_loss_(logits, labels, 0.25)
        assert loss.shape == () and loss.dtype == torch.float32
        if width > 1:
            torch.testing.assert_close(loss.double(), expected, rtol=2e-6, atol=1e-6)
            assert error(logits, slope) < 2 * ROUNDING[dtype], (rows, width)
        else:
            assert loss == 0 and not logits.any()


@pytest.mark.parametrize("dtype", TYPES)
def test_rows_that_begin_anywhere(emulated: Any, dtype: torch.dtype) -> None:
    for offset in range(1, 9):
        held = normal(700, dtype=dtype)
        logits, labels = held[offset : offset + 3 * 201].view(3, 201), labels_of(3, 201)
        before, (expected, slope) = held.clone(), exact_loss(logits, labels, 1.0)
        loss = emulated.softmax_loss_(logits, labels, 1.0)
        torch.testing.assert_close(loss.double(), expected, rtol=2e-6, atol=0)
        assert error(logits, slope) < 2 * ROUNDING[dtype]
        assert torch.equal(held[:offset], before[:offset])
        assert torch.equal(held[offset + 603 :], before[offset + 603 :])


def test_large_and_missing_logits(emulated: Any) -> None:
    logits = torch.tensor([[1e30, -1e30, 0.0], [-1e4, -1e4 + 1, -float("inf")], [5e4, 5e4, -5e4]])
    labels = torch.tensor([0, 1, 1])
    expected, slope = exact_loss(logits, labels, 1.0)
    loss = emulated.softmax_loss_(logits, labels, 1.0)
    torch.testing.assert_close(loss.double(), expected, rtol=1e-6, atol=1e-6)
    torch.testing.assert_close(logits.double(), slope, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("label", [-1, 5, 1 << 40])
def test_a_label_outside_and_a_number_that_is_none_show_in_the_loss(emulated: Any, label: int) -> None:
    assert emulated.softmax_loss_(normal(2, 5), torch.tensor([1, label]), 1.0).isnan()
    logits = normal(2, 5)
    logits[1, 2] = float("nan")
    assert emulated.softmax_loss_(logits, torch.tensor([1, 0]), 1.0).isnan()


@pytest.mark.parametrize("dtype", TYPES)
def test_rows_that_are_not_trained_have_no_part(emulated: Any, dtype: torch.dtype) -> None:
    logits, labels = 4 * normal(6, 2063, dtype=dtype), labels_of(6, 2063)
    labels[1::2] = -100
    expected, slope = exact_loss(logits, labels, 0.25)
    loss = emulated.softmax_loss_(logits, labels, 0.25)
    torch.testing.assert_close(loss.double(), expected, rtol=2e-6, atol=1e-6)
    assert error(logits, slope) < 2 * ROUNDING[dtype]
    assert not logits[1::2].any()


def test_no_rows_are_no_loss(emulated: Any) -> None:
    with poisoned():
        assert emulated.softmax_loss_(torch.empty(0, 7), torch.empty(0, dtype=torch.long), 1.0) == 0


@pytest.mark.parametrize("order", ORDERS)
def test_the_order_of_threads_is_nothing_to_it(emulated: Any, run_in_order: Callable[[int], None], order: int) -> None:
    def results() -> list[Tensor]:
        logits = normal(5, 2063).bfloat16()
        return [emulated.softmax_loss_(logits, labels_of(5, 2063), 0.5), logits]

    expected = results()
    run_in_order(order)
    assert all(torch.equal(one, other) for one, other in zip(results(), expected, strict=True))


def test_what_does_not_fit_is_said(emulated: Any) -> None:
    logits, labels = normal(4, 6), labels_of(4, 6)
    for given, sentence in (
        ((logits[0], labels), r"logits must be contiguous \[tokens, vocab\], not \[6\]"),
        ((logits[:, :5], labels), "not strided"),
        ((logits.double(), labels), "logits must be float32, bfloat16 or float16, not float64"),
        ((logits, labels[:3]), r"labels must be contiguous .* \[4\]"),
        ((logits, labels.float()), r"labels must be contiguous int64 \[4\] .* not float32"),
    ):
        with pytest.raises(RuntimeError, match=sentence):
            emulated.softmax_loss_(*given, 1.0)
