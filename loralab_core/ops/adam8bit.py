"""One step of AdamW on one tensor, its moments in 8 bits (arXiv:2110.02861) or, where it is small, in float32.

csrc/cpu/adam8bit.h does the same in one pass and to the same codes: every product and sum here is rounded on its own.
"""

import math
from collections.abc import Mapping
from functools import cache
from typing import NamedTuple

import torch
from torch import Tensor

from loralab_core.ops.blockwise8 import BLOCK, dequantize_blockwise, dynamic_map, quantize_blockwise
from loralab_core.ops.library import LIBRARY
from loralab_core.ops.metal.library import metal
from loralab_core.ops.native.library import native
from loralab_core.ops.random_bits import stochastic_bf16

LIBRARY.define(  # type: ignore[no-untyped-call]
    "adam8bit_(Tensor(a!) parameter, Tensor gradient, Tensor(b!) mean, Tensor(c!) square, Tensor(d!) mean_scales, "
    "Tensor(e!) square_scales, float[] numbers, int seed, Tensor mean_map, Tensor square_map) -> ()"
)
torch.library.register_fake("loralab::adam8bit_", lambda *arguments: None, lib=LIBRARY)
SLAB = 256 * BLOCK  # elements held in float32 at a time: its scratch stays in the cache


class AdamStep(NamedTuple):
    """What one step multiplies with, rounded to float32 where it is used."""

    beta1: float
    rest1: float  # 1 - beta1
    beta2: float
    rest2: float
    root: float  # 1 / sqrt(1 - beta2^t): corrects the bias of the second moment's root
    eps: float
    keep: float  # 1 - lr · weight_decay
    rate: float  # lr / (1 - beta1^t)
    seed: int  # of the rounding of bf16 parameters; below 2^63


def adam_step(
    lr: float, betas: tuple[float, float], eps: float, weight_decay: float, number: int, seed: int
) -> AdamStep:
    """`number`: of the step, from 1."""
    (beta1, beta2), keep = betas, 1 - lr * weight_decay
    root, rate = 1 / math.sqrt(1 - beta2**number), lr / (1 - beta1**number)
    return AdamStep(beta1, 1 - beta1, beta2, 1 - beta2, root, eps, keep, rate, seed)


@torch.no_grad()
def adamw8bit_(parameter: Tensor, gradient: Tensor, state: Mapping[str, Tensor], step: AdamStep) -> None:
    """Move `parameter` (float32 or bf16, contiguous) and its moments in place.

    state: `exp_avg` and `exp_avg_sq` of the parameter's shape, as uint8 with `exp_avg_scale` and `exp_avg_sq_scale`
    [elements / 256, rounded up], or as float32 without. A bf16 parameter is rounded by chance (see stochastic_bf16).
    """
    small = state["exp_avg"].dtype != torch.uint8
    (by_torch if small or not _has_kernel(parameter) else by_kernel)(parameter, gradient, state, step)


def _has_kernel(parameter: Tensor) -> bool:
    if parameter.is_mps:
        return "adam8bit_" in metal().operators and parameter.dtype in (torch.float32, torch.bfloat16)
    return parameter.is_cpu and "adam8bit" in native().operators


@cache
def _maps(device: torch.device) -> tuple[Tensor, Tensor]:
    return dynamic_map(True).to(device), dynamic_map(False).to(device)


def by_kernel(parameter: Tensor, gradient: Tensor, state: Mapping[str, Tensor], step: AdamStep) -> None:
    """By loralab::adam8bit_, for moments in 8 bits: csrc/cpu/adam8bit.h, csrc/metal/adam8bit.metal."""
    moments = [state[name] for name in ("exp_avg", "exp_avg_sq")]
    scales = [state[f"{name}_scale"] for name in ("exp_avg", "exp_avg_sq")]
    maps = _maps(parameter.device)
    torch.ops.loralab.adam8bit_(parameter, gradient.contiguous(), *moments, *scales, list(step[:8]), step.seed, *maps)


def by_torch(parameter: Tensor, gradient: Tensor, state: Mapping[str, Tensor], step: AdamStep) -> None:
    flat, slopes = parameter.view(-1), gradient.reshape(-1)
    for start in range(0, flat.numel(), SLAB):
        part = slice(start, start + SLAB)
        exact = flat[part].float()
        mean, square = _moment(state, "exp_avg", part), _moment(state, "exp_avg_sq", part)
        _move(exact, slopes[part].float(), mean, square, step)
        flat[part] = stochastic_bf16(exact, step.seed, start) if flat.dtype == torch.bfloat16 else exact
        _keep(state, "exp_avg", part, mean)
        _keep(state, "exp_avg_sq", part, square)


def _move(parameter: Tensor, gradient: Tensor, mean: Tensor, square: Tensor, step: AdamStep) -> None:
    """AdamW (arXiv:1711.05101), float32, all in place but the gradient."""
    mean.mul_(step.beta1).add_(gradient * step.rest1)
    square.mul_(step.beta2).add_((gradient * gradient).mul_(step.rest2))
    root = square.sqrt().mul_(step.root).add_(step.eps)
    parameter.mul_(step.keep).sub_((mean / root).mul_(step.rate))


def _moment(state: Mapping[str, Tensor], name: str, part: slice) -> Tensor:
    held = state[name].view(-1)[part]
    if held.dtype != torch.uint8:
        return held
    return dequantize_blockwise(held, state[f"{name}_scale"][_blocks(part)], signed=name == "exp_avg")


def _keep(state: Mapping[str, Tensor], name: str, part: slice, moment: Tensor) -> None:
    held = state[name].view(-1)[part]
    if held.dtype != torch.uint8:
        return  # it was changed in place
    codes, scales = quantize_blockwise(moment, signed=name == "exp_avg")
    held.copy_(codes)
    state[f"{name}_scale"][_blocks(part)] = scales


def _blocks(part: slice) -> slice:
    return slice(part.start // BLOCK, part.stop // BLOCK)
