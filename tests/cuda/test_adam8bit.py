"""Many tensors moved by the CUDA kernel of 8-bit Adam, run on a CPU: the bits of the reference."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from loralab_core.ops.adam8bit import AdamStep, adam_step, by_torch
from loralab_core.ops.adam8bit_many import packed_steps
from loralab_core.ops.blockwise8 import BLOCK, dynamic_map, quantize_blockwise
from loralab_core.optim import AdamW8bit
from tests.cuda.exact import ORDERS, TYPES

HOW = {"lr": 1e-2, "betas": (0.9, 0.999), "eps": 1e-8, "weight_decay": 0.1}
COUNTS = (1, 7, 300, 4096, 20 * BLOCK + 1, 9000, 5000)
State = dict[str, Tensor]


def tensors(dtype: torch.dtype, counts: tuple[int, ...] = COUNTS) -> list[Tensor]:
    return [torch.randn(count, generator=torch.Generator().manual_seed(count)).to(dtype) for count in counts]


def fresh(parameters: list[Tensor]) -> list[State]:
    return [AdamW8bit([each], **HOW).fresh(each) for each in parameters]  # type: ignore[arg-type]


def move(emulated: Any, parameters: list[Tensor], gradients: list[Tensor], states: list[State], steps: Tensor) -> None:
    nothing = torch.empty(0)
    lists = [
        [state.get(name, nothing) for state in states]
        for name in ("exp_avg", "exp_avg_sq", "exp_avg_scale", "exp_avg_sq_scale")
    ]
    emulated.adam8bit_many_(parameters, gradients, *lists, steps, dynamic_map(True), dynamic_map(False))


def gradients_of(parameters: list[Tensor], number: int) -> list[Tensor]:
    """Of all sizes; in some blocks nothing but zeros."""
    generator = torch.Generator().manual_seed(number)
    found = []
    for each in parameters:
        size = 10 ** (6 * torch.rand(each.numel(), generator=generator) - 6)
        gradient = torch.randn(each.numel(), generator=generator) * size
        gradient[number * BLOCK : 2 * number * BLOCK] = 0
        found.append(gradient.to(each.dtype))
    return found


def steps_of(count: int, number: int) -> list[AdamStep]:
    return [adam_step(**HOW, number=number + i % 2, seed=number << 40 | i * 77) for i in range(count)]


@pytest.mark.parametrize("dtype", TYPES)
def test_the_bits_of_the_reference(emulated: Any, dtype: torch.dtype) -> None:
    ours, theirs = tensors(dtype), tensors(dtype)
    one, other = fresh(ours), fresh(theirs)
    for number in range(1, 6):
        gradients, steps = gradients_of(ours, number), steps_of(len(ours), number)
        move(emulated, ours, gradients, one, packed_steps(steps))
        for parameter, gradient, state, step in zip(theirs, gradients, other, steps, strict=True):
            by_torch(parameter, gradient, state, step)
        for mine, reference in zip(one, other, strict=True):
            assert all(torch.equal(mine[name], reference[name]) for name in mine), number
        for mine, reference in zip(ours, theirs, strict=True):  # torch's root is not always the nearest float
            torch.testing.assert_close(mine, reference, rtol=3e-7 if dtype == torch.float32 else 1e-2, atol=3e-7)


def test_more_tensors_than_a_launch_takes(emulated: Any) -> None:
    counts = tuple(range(1, 400, 3))
    ours, theirs = tensors(torch.float32, counts), tensors(torch.float32, counts)
    one, other = fresh(ours), fresh(theirs)
    gradients, steps = gradients_of(ours, 1), steps_of(len(ours), 1)
    move(emulated, ours, gradients, one, packed_steps(steps))
    for parameter, gradient, state, step in zip(theirs, gradients, other, steps, strict=True):
        by_torch(parameter, gradient, state, step)
    torch.testing.assert_close(torch.cat(ours), torch.cat(theirs), rtol=0, atol=3e-7)


def test_different_types_and_views_in_one_launch(emulated: Any) -> None:
    def started() -> list[Tensor]:
        halves = tensors(torch.bfloat16, (5001, 300))
        return [tensors(torch.float32, (5001,))[0][1:], halves[0][1:], halves[1], tensors(torch.float16, (4097,))[0]]

    ours, theirs = started(), started()
    one, other = fresh(ours), fresh(theirs)
    gradients, steps = gradients_of(ours, 1), steps_of(4, 3)
    gradients[0] = gradients[0].bfloat16()
    move(emulated, ours, gradients, one, packed_steps(steps))
    for parameter, gradient, state, step in zip(theirs, gradients, other, steps, strict=True):
        by_torch(parameter, gradient, state, step)
    assert all(torch.equal(a[name], b[name]) for a, b in zip(one, other, strict=True) for name in a if name != "step")
    for mine, reference in zip(ours, theirs, strict=True):
        torch.testing.assert_close(mine, reference, rtol=1e-2, atol=3e-7)


def shares(signed: bool) -> Tensor:
    """Every border between entries and decades, what lies next to it, and much between, by blocks that end with one."""
    entries = dynamic_map(signed)
    marks = torch.cat([(entries[:-1] + entries[1:]) / 2, entries, torch.tensor([0.0, 1e-40, 1e-8])])
    marks = torch.cat([marks, torch.tensor([10.0**-power for power in range(8)])])
    near = torch.cat([marks.view(torch.int32) + step for step in range(-3, 4)]).view(torch.float32)
    random = torch.rand(60_000, generator=torch.Generator().manual_seed(1))
    spread = torch.cat([near, random, 10 ** (-9 * random)])
    spread = torch.cat([spread, -spread]) if signed else spread
    spread = spread[(spread.abs() <= 1) & (spread >= (-1 if signed else 0))]
    blocks = torch.nn.functional.pad(spread, (0, -len(spread) % (BLOCK - 1))).view(-1, BLOCK - 1)
    return torch.nn.functional.pad(blocks, (0, 1), value=1.0).flatten()


@pytest.mark.parametrize("name", ["exp_avg", "exp_avg_sq"])
def test_the_nearest_entry_of_every_share(emulated: Any, name: str) -> None:
    """The first moment is the gradient and the second its square, so that the codes of any numbers can be asked for."""
    signed = name == "exp_avg"
    gradient = shares(signed) if signed else shares(signed).sqrt()
    parameter = torch.zeros_like(gradient)
    (state,) = fresh([parameter])
    step = AdamStep(0.0, 1.0, 0.0, 1.0, 1.0, 1e-8, 1.0, 0.0, 0)
    move(emulated, [parameter], [gradient], [state], packed_steps([step]))
    codes, scales = quantize_blockwise(gradient if signed else gradient * gradient, signed)
    assert torch.equal(state[f"{name}_scale"], scales) and torch.equal(state[name], codes)
    assert len(codes.unique()) == 256


@pytest.mark.parametrize("order", ORDERS)
def test_the_order_of_threads_is_nothing_to_it(emulated: Any, run_in_order: Callable[[int], None], order: int) -> None:
    def results() -> list[Tensor]:
        parameters = tensors(torch.bfloat16)
        states = fresh(parameters)
        for number in (1, 2):
            steps = packed_steps(steps_of(len(parameters), number))
            move(emulated, parameters, gradients_of(parameters, number), states, steps)
        return parameters + [state[name] for state in states for name in sorted(state)]

    expected = results()
    run_in_order(order)
    assert all(torch.equal(one, other) for one, other in zip(results(), expected, strict=True))


def test_what_does_not_fit_is_said(emulated: Any) -> None:
    parameters = tensors(torch.float32, (4096, 5000))
    gradients, states, steps = gradients_of(parameters, 1), fresh(parameters), packed_steps(steps_of(2, 1))

    def with_state(name: str, value: Tensor) -> list[State]:
        return [states[0] | {name: value}, states[1]]

    for given, sentence in (
        ((parameters, gradients[:1], states, steps), "each of 2 parameters needs a gradient and its state, not 1"),
        ((parameters, gradients[::-1], states, steps), "gradient must be contiguous float32 of 4096 elements"),
        ((parameters, gradients, states, steps[:1]), r"steps must be contiguous int32 \[2, 10\]"),
        ((parameters, gradients, states, steps.float()), "not float32"),
        (([parameters[0].double(), parameters[1]], gradients, states, steps), "parameter must be float32, bfloat16 or"),
        (
            (parameters, gradients, with_state("exp_avg_scale", torch.zeros(15)), steps),
            "mean_scales must be",
        ),
        (
            (parameters, gradients, with_state("exp_avg_sq", torch.zeros(4096)), steps),
            "square must be .* uint8",
        ),
    ):
        with pytest.raises(RuntimeError, match=sentence):
            move(emulated, *given)
