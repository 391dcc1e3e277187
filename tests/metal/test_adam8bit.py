"""csrc/metal/adam8bit.metal moves what the reference in torch moves, to the same codes and scales."""

import pytest
import torch

from loralab_core.ops.adam8bit import adam_step, by_torch
from loralab_core.ops.blockwise8 import BLOCK, dynamic_map
from loralab_core.ops.metal.states import adam8bit
from loralab_core.optim import AdamW8bit
from tests.metal.exact import TYPES, fibers_run, kernels

HOW = {"lr": 1e-2, "betas": (0.9, 0.999), "eps": 1e-8, "weight_decay": 0.1}
MOMENTS = ("exp_avg", "exp_avg_sq", "exp_avg_scale", "exp_avg_sq_scale")


@pytest.mark.parametrize("gradient_type", TYPES)
@pytest.mark.parametrize("parameter_type", [torch.float32, torch.bfloat16])
def test_the_same_states_and_parameters(parameter_type: torch.dtype, gradient_type: torch.dtype) -> None:
    count = 17 * BLOCK + 1
    generator = torch.Generator().manual_seed(count)
    ours = torch.randn(count, generator=generator).to(parameter_type)
    theirs = ours.clone()
    one, other = AdamW8bit([ours], **HOW).fresh(ours), AdamW8bit([theirs], **HOW).fresh(theirs)
    for number in range(1, 6):
        size = 10 ** (6 * torch.rand(count, generator=generator) - 6)
        gradient = (torch.randn(count, generator=generator) * size).to(gradient_type)
        gradient[number * BLOCK : 2 * number * BLOCK] = 0
        step = adam_step(**HOW, number=number, seed=number << 40 | 0xF0000011)
        maps = (dynamic_map(True), dynamic_map(False))
        with fibers_run(number):
            adam8bit(kernels(), ours, gradient, *(one[name] for name in MOMENTS), list(step[:8]), step.seed, *maps)
        by_torch(theirs, gradient, other, step)
        assert all(torch.equal(one[name], other[name]) for name in MOMENTS), number
    if parameter_type == torch.float32:
        torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-5)
    else:  # the same chance, so the same rounding, but where it hangs on the last bit of torch's square root
        assert (ours != theirs).float().mean() < 1e-3


def test_not_a_number_is_not_lost() -> None:
    parameter = torch.zeros(BLOCK)
    state = AdamW8bit([parameter], **HOW).fresh(torch.zeros(4096))
    gradient = torch.ones(BLOCK)
    gradient[77] = torch.nan
    step = adam_step(**HOW, number=1, seed=0)
    moments = [state[name][: BLOCK if state[name].dtype == torch.uint8 else 1] for name in MOMENTS]
    adam8bit(kernels(), parameter, gradient, *moments, list(step[:8]), 0, dynamic_map(True), dynamic_map(False))
    assert moments[2].isnan().all() and moments[3].isnan().all() and parameter[77].isnan()


def test_what_no_kernel_moves_is_said() -> None:
    half = torch.zeros(8, dtype=torch.float16)
    bytes_, scales = torch.zeros(8, dtype=torch.uint8), torch.zeros(1)
    maps = (dynamic_map(True), dynamic_map(False))
    with pytest.raises(ValueError, match="no kernel moves a parameter of torch.float16"):
        adam8bit(kernels(), half, half, bytes_, bytes_, scales, scales, [0.0] * 8, 0, *maps)
    with pytest.raises(ValueError, match="must be contiguous"):
        adam8bit(kernels(), torch.zeros(4, 2).t(), half, bytes_, bytes_, scales, scales, [0.0] * 8, 0, *maps)
