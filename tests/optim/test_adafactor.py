"""Adafactor as transformers has it, tensor by tensor."""

import pytest
import torch

from loralab_core.optim import Adafactor
from tests.optim.problems import loss_of, network, solved


@pytest.mark.parametrize("weight_decay", [0.0, 0.1])
def test_the_same_steps_as_the_reference(weight_decay: float) -> None:
    """Vectors, matrices and stacks of matrices, some of their gradients zero."""
    optimization = pytest.importorskip("transformers.optimization", reason="the reference is not installed")
    shapes = [(7,), (5, 3), (4, 6, 2), (1, 9)]
    ours = [torch.ones(shape).requires_grad_() for shape in shapes]
    theirs = [torch.ones(shape).requires_grad_() for shape in shapes]
    optimizer = Adafactor(ours, lr=1e-2, weight_decay=weight_decay)
    how = {"scale_parameter": False, "relative_step": False, "weight_decay": weight_decay}
    reference = optimization.Adafactor(theirs, lr=1e-2, **how)
    for step in range(12):
        generator = torch.Generator().manual_seed(step)
        for one, other in zip(ours, theirs, strict=True):
            one.grad = torch.randn(one.shape, generator=generator) * 10.0 ** (step % 5 - 2)
            one.grad[..., 0] = 0
            other.grad = one.grad.clone()
        optimizer.step()
        reference.step()
    torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-6)


def test_its_state_is_the_sum_of_rows_and_columns() -> None:
    weight = torch.ones(300, 200, requires_grad=True)
    weight.grad = torch.ones(300, 200)
    optimizer = Adafactor([weight], lr=1e-2, weight_decay=0.0)
    optimizer.step()
    assert sum(value.numel() for value in optimizer.state[weight].values()) == 300 + 200 + 1


def test_no_update_is_larger_than_the_learning_rate() -> None:
    weight = torch.zeros(64, 64, requires_grad=True)
    optimizer = Adafactor([weight], lr=1e-2, weight_decay=0.0)
    for size in (1e-3, 1e3):  # the second is a million times what the state has seen
        weight.grad = torch.randn(64, 64, generator=torch.Generator().manual_seed(1)) * size
        before = weight.detach().clone()
        optimizer.step()
        assert (weight.detach() - before).square().mean().sqrt() <= 1.001e-2


def test_bf16_weights_learn_as_float32_ones_do() -> None:
    exact, rounded = network(), network(torch.bfloat16)
    how = {"lr": 3e-4, "weight_decay": 0.0}
    expected = solved(exact, Adafactor(exact, **how).step, 400)
    assert solved(rounded, Adafactor(rounded, **how).step, 400) == pytest.approx(expected, rel=0.03)
    assert expected < 0.8 * float(loss_of(network(), 0))
