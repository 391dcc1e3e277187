"""A step of AdamW on many tensors by one operator: what adam8bit.py does to each, in a few launches on a GPU.

What changes from step to step is a tensor on the GPU, so that a captured graph of the operator can be replayed with
other numbers: whoever replays it writes them first.
"""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from loralab_core.ops.adam8bit import AdamStep, by_torch
from loralab_core.ops.blockwise8 import map_on
from loralab_core.ops.library import define
from loralab_core.ops.random_bits import MASK

MOMENTS = ("exp_avg", "exp_avg_sq")


def packed_steps(steps: Sequence[AdamStep]) -> Tensor:
    """int32 [steps, 10]: the bits of eight float32 and of the two halves of the seed, as csrc/adam.h has them."""
    numbers = torch.tensor([step[:8] for step in steps], dtype=torch.float32).view(torch.int32)
    seeds = torch.tensor([step.seed for step in steps], dtype=torch.int64).view(torch.int32).view(-1, 2)
    return torch.cat([numbers, seeds], 1)


@torch.no_grad()
def adamw8bit_many_(
    parameters: Sequence[Tensor], gradients: Sequence[Tensor], states: Sequence[Mapping[str, Tensor]], steps: Tensor
) -> None:
    """Move parameters and their states as `adamw8bit_` does. steps: from `packed_steps`, where the tensors lie."""
    nothing = steps.new_empty(0, dtype=torch.float32)
    moments = [[state[name] for state in states] for name in MOMENTS]
    scales = [[state.get(f"{name}_scale", nothing) for state in states] for name in MOMENTS]
    maps = (map_on(steps.device, signed) for signed in (True, False))
    ADAM8BIT_MANY_(list(parameters), [each.contiguous() for each in gradients], *moments, *scales, steps, *maps)


def _reference(
    parameters: list[Tensor],
    gradients: list[Tensor],
    means: list[Tensor],
    squares: list[Tensor],
    mean_scales: list[Tensor],
    square_scales: list[Tensor],
    steps: Tensor,
    mean_map: Tensor,
    square_map: Tensor,
) -> None:
    names = [name + kind for kind in ("", "_scale") for name in MOMENTS]
    states = zip(means, squares, mean_scales, square_scales, strict=True)
    for parameter, gradient, state, step in zip(parameters, gradients, states, _unpacked(steps.cpu()), strict=True):
        by_torch(parameter, gradient, dict(zip(names, state, strict=True)), step)


def _unpacked(steps: Tensor) -> list[AdamStep]:
    numbers = steps[:, :8].contiguous().view(torch.float32).tolist()
    seeds = [(high & MASK) << 32 | low & MASK for low, high in steps[:, 8:].tolist()]
    return [AdamStep._make((*each, seed)) for each, seed in zip(numbers, seeds, strict=True)]


ADAM8BIT_MANY_ = define(
    "adam8bit_many_(Tensor(a!)[] parameters, Tensor[] gradients, Tensor(b!)[] means, Tensor(c!)[] squares, "
    "Tensor(d!)[] mean_scales, Tensor(e!)[] square_scales, Tensor steps, Tensor mean_map, Tensor square_map) -> ()",
    _reference,
    lambda *arguments: None,
)
