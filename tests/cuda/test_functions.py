"""What callers use takes the fused kernels where it would on a GPU: values and gradients, alone and in whole models."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from loralab_core.ops import adam8bit_many, gated, gated_halves, linear_cross_entropy, rms_norm, rotary
from loralab_core.ops.softmax_loss import softmax_loss_
from loralab_core.optim import AdamW8bit
from loralab_core.quant import quantize
from tests.cuda.exact import ROUNDING, TYPES, error, exact_gated, exact_norm, exact_rotary, normal
from tests.models import parity
from tests.models.families import saved

pytestmark = pytest.mark.usefixtures("fused")
HALVES = (torch.bfloat16, torch.float16)
BY_ONE_FAMILY = [("llama", 0), ("gemma2", 0), ("qwen3", 0), ("phi3", 0), ("gpt_neox", 0), ("olmo2", 0)]


def leaves_of(dtype: torch.dtype, *inputs: Tensor) -> list[Tensor]:
    return [each.to(dtype, copy=True).requires_grad_() for each in inputs]


def same(ours: Callable[..., Tensor], exact: Callable[..., Tensor], *inputs: Tensor, by: float = 2) -> None:
    """Values, and gradients by all inputs, `by` times as far off as numbers of that type are on their own."""
    limit = by * ROUNDING[inputs[0].dtype]
    leaves, wide = (leaves_of(kind, *inputs) for kind in (inputs[0].dtype, torch.float64))
    y, expected = ours(*leaves), exact(*wide)
    dy = normal(*y.shape, dtype=y.dtype, seed=3)
    assert y.dtype == inputs[0].dtype and error(y, expected) < limit
    found, wanted = torch.autograd.grad(y, leaves, dy), torch.autograd.grad(expected, wide, dy.double())
    for each, other in zip(found, wanted, strict=True):
        assert error(each, other) < limit


@pytest.mark.parametrize("dtype", TYPES)
def test_norms_and_turns_and_their_gradients(dtype: torch.dtype) -> None:
    x, gain, angle = normal(2, 3, 4, 32, dtype=dtype), normal(32, dtype=dtype), normal(1, 3, 1, 12)
    turn = angle.cos(), angle.sin()
    same(lambda x, gain: rms_norm(x, gain, 1e-5, 1.0), lambda x, gain: exact_norm(x, gain, 1e-5, 1.0), x, gain)
    same(lambda x: rotary(x, *turn), lambda x: exact_rotary(x, *turn), x)


@pytest.mark.parametrize("activation", ["silu", "gelu", "gelu_tanh", "relu"])
@pytest.mark.parametrize("dtype", TYPES)
def test_gates_and_their_gradients(dtype: torch.dtype, activation: str) -> None:
    x, up = normal(2, 3, 32, dtype=dtype), normal(2, 3, 32, dtype=dtype, seed=1)
    same(lambda *both: gated(*both, activation), lambda *both: exact_gated(*both, activation), x, up)
    same(lambda both: gated_halves(both, activation), lambda both: exact_gated(*both.chunk(2, -1), activation), x)


HOWS: list[dict[str, Any]] = [{}, {"logit_scale": 0.3}, {"cap": 2.0}, {"bias": normal(61)}]


@pytest.mark.parametrize("how", HOWS)
@pytest.mark.parametrize("dtype", TYPES)
def test_the_loss_of_hidden_states(dtype: torch.dtype, how: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("loralab_core.ops.cross_entropy.GPU_SLAB_BYTES", 20 * 61 * 4)  # in several slabs
    hidden, head, labels = normal(50, 16, dtype=dtype), normal(61, 16, dtype=dtype), torch.arange(50)

    def exact(hidden: Tensor, head: Tensor) -> Tensor:
        logits = (hidden @ head.t() + how.get("bias", 0.0)) * how.get("logit_scale", 1.0)
        logits = torch.tanh(logits / how["cap"]) * how["cap"] if "cap" in how else logits
        return torch.nn.functional.cross_entropy(logits, labels)

    leaves, wide = (leaves_of(kind, hidden, head) for kind in (dtype, torch.float64))
    loss, expected = linear_cross_entropy(*leaves, labels, 1 / 50, **how), exact(*wide)  # type: ignore[arg-type]
    torch.testing.assert_close(loss.double(), expected, rtol=10 * ROUNDING[dtype], atol=0)
    found, wanted = torch.autograd.grad(loss * 8, leaves), torch.autograd.grad(expected * 8, wide)
    for each, other in zip(found, wanted, strict=True):
        assert error(each, other) < 5 * ROUNDING[dtype]


@pytest.mark.parametrize("dtype", HALVES)
def test_logits_stay_in_16_bits_and_small_gradients_survive(
    dtype: torch.dtype, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A share of a millionth, divided by ten thousand tokens, is less than fp16 can say."""
    types = []

    def watched(logits: Tensor, labels: Tensor, scale: float) -> Tensor:
        types.append(logits.dtype)
        return softmax_loss_(logits, labels, scale)

    monkeypatch.setattr("loralab_core.ops.cross_entropy.softmax_loss_", watched)
    hidden, head = normal(1, 16, dtype=dtype), torch.zeros(4000, 16, dtype=dtype)
    head[1:, 0] = 1  # each of its shares of the gradient is small, all of them together are not
    leaf = hidden.clone().requires_grad_()
    loss = linear_cross_entropy(leaf, head, torch.tensor([0]), 1e-4)
    (gradient,) = torch.autograd.grad(loss * 2.0**15, leaf)
    wide = hidden.double().requires_grad_()
    (expected,) = torch.autograd.grad(
        torch.nn.functional.cross_entropy(wide @ head.double().t(), torch.tensor([0])) * 1e-4 * 2.0**15, wide
    )
    assert types == [dtype] and error(gradient, expected) < 5 * ROUNDING[dtype]


def test_the_loss_with_a_quantised_head() -> None:
    hidden, head, labels = normal(20, 64), quantize(normal(61, 64), "int8"), torch.arange(20)
    leaf, wide = hidden.clone().requires_grad_(), hidden.double().requires_grad_()
    loss = linear_cross_entropy(leaf, head, labels, 0.05)
    expected = torch.nn.functional.cross_entropy(wide @ head.dequantize().double().t(), labels)
    torch.testing.assert_close(loss.double(), expected, rtol=1e-5, atol=0)
    found, wanted = torch.autograd.grad(loss, leaf), torch.autograd.grad(expected, wide)
    assert error(found[0], wanted[0]) < 1e-5


@pytest.mark.parametrize(("family", "number"), BY_ONE_FAMILY)
def test_whole_models_and_the_gradients_of_their_adapters(family: str, number: int, tmp_path: Path) -> None:
    tiny = saved(family, number, tmp_path)
    assert parity.float32_logits(*tiny) < parity.ALIKE
    assert parity.lora_gradients(*tiny) < parity.ALIKE


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_the_optimiser_moves_all_tensors_at_once(
    emulated: Any, dtype: torch.dtype, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on a CPU it moves one after another, from a step of their own; a tensor without a gradient stays."""
    monkeypatch.setattr(adam8bit_many, "ADAM8BIT_MANY_", emulated.adam8bit_many_.default)

    def optimizer() -> AdamW8bit:
        tensors = [normal(*shape, dtype=dtype).requires_grad_() for shape in ((70, 80), (5,), (4096,), (3,))]
        return AdamW8bit(tensors, lr=1e-2, betas=(0.9, 0.99), eps=1e-8, weight_decay=0.1, seed=5)

    ours, theirs = optimizer(), optimizer()
    for number in range(4):
        for tensors in (ours.tensors, theirs.tensors):
            for tensor in tensors:
                tensor.grad = normal(*tensor.shape, dtype=dtype, seed=number)
            tensors[3].grad = None
            tensors[1].grad = tensors[1].grad if number % 2 else None
        moving = [tensor for tensor in ours.tensors if tensor.grad is not None]
        ours.prepare(moving)
        ours.move(moving)
        theirs.step()
    for one, other in zip(ours.tensors, theirs.tensors, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-2 if dtype == torch.bfloat16 else 3e-7, atol=3e-7)
    states = zip(ours.state.values(), theirs.state.values(), strict=True)
    assert all(torch.equal(one[name], other[name]) for one, other in states for name in one)
    assert ours.tensors[3] not in ours.state
