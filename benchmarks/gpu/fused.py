"""The fused operators (norms, rotary positions, gates, the loss, 8-bit Adam) against float64, as correct.py does it."""

from collections.abc import Callable, Iterator
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from benchmarks.gpu.correct import error, fresh_seed, kinds, named, poison
from benchmarks.gpu.rows import checked, gap
from benchmarks.gpu.sizes import Sizes
from benchmarks.parts import Row
from loralab_core.ops.adam8bit import adam_step, by_torch
from loralab_core.ops.adam8bit_many import adamw8bit_many_, packed_steps
from loralab_core.ops.native.gpu import native_gpu
from loralab_core.ops.native.trial import TOLERANCE
from loralab_core.optim import AdamW8bit

WIDTHS = (1, 65, 128, 1000, 4096)
VOCABULARIES = (1, 61, 1025, 33_001)
ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "silu": F.silu,
    "gelu": F.gelu,
    "gelu_tanh": lambda x: F.gelu(x, approximate="tanh"),
    "relu": F.relu,
}
EPS = 1e-5


class Worst(NamedTuple):
    """‖y − exact‖ / ‖exact‖, as a share of what the type's rounding explains."""

    share: float
    case: str


def measure(device: torch.device, sizes: Sizes) -> Iterator[Row]:
    for one in kinds(device):
        if one.type == "cuda" and native_gpu(one.index).library is None:  # otherwise its kernels are loaded now
            yield gap(f"fused operators on {named(one)}", native_gpu(one.index).notes[0])
            continue
        seed = fresh_seed()
        for name, errors in OPERATORS.items():
            found = list(errors(one))
            worst = max(found, key=lambda each: each.share)
            what = f"{name} on {named(one)}: error, of what is allowed"
            yield checked(what, worst.share, 1.0, cases=len(found), worst=worst.case, seed=seed)


def norms(device: torch.device) -> Iterator[Worst]:
    for dtype in TOLERANCE:
        for width in WIDTHS:
            for offset in (0.0, 1.0):
                x, dy = (_normal(device, dtype, 7, width) for _ in range(2))
                gain = _normal(device, dtype, width)
                wide, slope = _wide(x), _wide(dy)
                exact = wide * (wide.square().mean(-1, keepdim=True) + EPS).rsqrt() * (offset + _wide(gain).detach())
                poison(device)
                y, scale = torch.ops.loralab.rms_norm(x, gain, EPS, offset)
                yield _worst(y, exact, dtype, f"norm of {width}")
                poison(device)
                dx = torch.ops.loralab.rms_norm_backward(dy, x, gain, scale, offset)
                if width > 1:  # of one number the gradient is what rounding leaves
                    yield _worst(dx, torch.autograd.grad(exact, wide, slope)[0], dtype, f"its gradient, {width}")


def rotary(device: torch.device) -> Iterator[Worst]:
    for dtype in TOLERANCE:
        for size, turned in ((64, 64), (128, 128), (80, 32)):
            x = _normal(device, dtype, 2, 5, 3, size)
            angle = torch.rand(1, 5, 1, turned // 2, device=device) * 6
            cos, sin = angle.cos(), angle.sin()
            left, right, rest = _wide(x).split([turned // 2, turned // 2, size - turned], -1)
            for inverse in (False, True):
                c, s = cos.double().cpu(), sin.double().cpu() * (-1 if inverse else 1)
                exact = torch.cat([left * c - right * s, right * c + left * s, rest], -1)
                poison(device)
                y = torch.ops.loralab.rotary(x, cos, sin, inverse)
                yield _worst(y, exact, dtype, f"rotary of {size}, {turned} turned{', back' * inverse}")


def gates(device: torch.device) -> Iterator[Worst]:
    for dtype in TOLERANCE:
        for width in WIDTHS:
            for name, activation in ACTIVATIONS.items():
                both, dy = _normal(device, dtype, 7, 2 * width), _normal(device, dtype, 7, width)
                gate, up = both.chunk(2, -1)
                wide = _wide(both)
                exact = activation(wide.chunk(2, -1)[0]) * wide.chunk(2, -1)[1]
                slope = torch.autograd.grad(exact, wide, _wide(dy))[0]
                case = f"{name} of {width}"
                poison(device)
                yield _worst(torch.ops.loralab.gated(gate, up, name), exact, dtype, case)
                poison(device)
                halves = torch.ops.loralab.gated_backward(dy, gate, up, name)
                yield _worst(torch.cat(halves, -1), slope, dtype, f"gradients of {case}")
                poison(device)
                joined = torch.ops.loralab.gated_halves_backward(dy, both, name)
                yield _worst(joined, slope, dtype, f"gradient of both, {case}")


def loss(device: torch.device) -> Iterator[Worst]:
    for dtype in TOLERANCE:
        for width in VOCABULARIES:
            logits = 4 * _normal(device, dtype, 9, width)
            labels = torch.randint(0, width, (9,), device=device)
            wide = _wide(logits)
            exact = F.cross_entropy(wide, labels.cpu(), reduction="sum")
            slope = torch.autograd.grad(exact, wide)[0] / 4
            poison(device)
            value = torch.ops.loralab.softmax_loss_(logits, labels, 0.25)
            if width > 1:
                yield _worst(value, exact, torch.float32, f"loss over {width}")
                yield _worst(logits, slope, dtype, f"its gradient over {width}")


def adam(device: torch.device) -> Iterator[Worst]:
    """Some steps of several tensors, against the readable reference on the CPU."""
    how = {"lr": 1e-2, "betas": (0.9, 0.999), "eps": 1e-8, "weight_decay": 0.1}
    parameters = [torch.randn(count, device=device) for count in (1, 300, 4096, 9001)]
    theirs = [each.cpu().clone() for each in parameters]
    states, others = ([AdamW8bit([each], **how).fresh(each) for each in held] for held in (parameters, theirs))  # type: ignore[arg-type]
    for number in (1, 2, 3):
        gradients = [torch.randn_like(each) for each in parameters]
        steps = [adam_step(**how, number=number, seed=number) for _ in parameters]  # type: ignore[arg-type]
        adamw8bit_many_(parameters, gradients, states, packed_steps(steps).to(device))
        for each, gradient, state, step in zip(theirs, gradients, others, steps, strict=True):
            by_torch(each, gradient.cpu(), state, step)
    for mine, other in zip(parameters, theirs, strict=True):
        yield _worst(mine, other.double(), torch.float32, f"8-bit Adam of {mine.numel()}")


def _worst(y: Tensor, exact: Tensor, dtype: torch.dtype, case: str) -> Worst:
    return Worst(error(y, exact.detach()) / TOLERANCE[dtype], f"{case}, {dtype}")


def _normal(device: torch.device, dtype: torch.dtype, *shape: int) -> Tensor:
    return torch.randn(shape, device=device).to(dtype)


def _wide(x: Tensor) -> Tensor:
    """In float64 on the CPU, to be differentiated: no GPU takes part in what it is compared with."""
    return x.double().cpu().requires_grad_()


OPERATORS: dict[str, Callable[[torch.device], Iterator[Worst]]] = {
    "norms": norms,
    "rotary": rotary,
    "gates": gates,
    "loss": loss,
    "8-bit Adam": adam,
}
