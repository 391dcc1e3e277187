"""The self-test of the fused operators on a GPU: each against the formula it stands for, in float64."""

from collections.abc import Callable, Iterator

import torch
from torch import Tensor

from loralab_core.ops import adam8bit, adam8bit_many
from loralab_core.ops.gated import backward, forward, halves_backward
from loralab_core.ops.native.trial import TOLERANCE, error
from loralab_core.ops.rotary import turned

ROWS, WIDTH, HALF = 5, 203, 12  # an odd width: no row but the first begins at a multiple of 16 bytes
EPS, OFFSET = 1e-6, 1.0
ACTIVATION = "silu"


def errors(name: str, device: torch.device) -> Iterator[float]:
    """As shares of what is allowed, in every type."""
    if name == "adam8bit_many_":
        yield _adam(device)
        return
    for dtype, allowed in TOLERANCE.items():
        for ours, exact in TESTS[name](dtype, device):
            yield error(ours, exact) / allowed


Pairs = Iterator[tuple[Tensor, Tensor]]


def _norm(dtype: torch.dtype, device: torch.device) -> Pairs:
    x, gain = _normal(device, (ROWS, WIDTH), (WIDTH,), dtype=dtype)
    y, scale = torch.ops.loralab.rms_norm(x, gain, EPS, OFFSET)
    exact = (x.double().square().mean(-1, keepdim=True) + EPS).rsqrt()
    yield y, x.double() * exact * (gain.double() + OFFSET)
    yield scale, exact


def _norm_backward(dtype: torch.dtype, device: torch.device) -> Pairs:
    dy, x, gain = _normal(device, (ROWS, WIDTH), (ROWS, WIDTH), (WIDTH,), dtype=dtype)
    scale = (x.double().square().mean(-1, keepdim=True) + EPS).rsqrt()
    unit, dunit = x.double() * scale, dy.double() * (gain.double() + OFFSET)
    exact = (dunit - unit * (dunit * unit).mean(-1, keepdim=True)) * scale
    yield torch.ops.loralab.rms_norm_backward(dy, x, gain, scale.float(), OFFSET), exact


def _rotary(dtype: torch.dtype, device: torch.device) -> Pairs:
    (x,) = _normal(device, (2, ROWS, 3, 2 * HALF + 1), dtype=dtype)
    (angle,) = _normal(device, (1, ROWS, 1, HALF), dtype=torch.float32)
    for inverse in (False, True):
        exact = turned(x.double(), angle.double().cos(), angle.double().sin() * (-1 if inverse else 1))
        yield torch.ops.loralab.rotary(x, angle.cos(), angle.sin(), inverse), exact


def _gated(dtype: torch.dtype, device: torch.device) -> Pairs:
    for gate, up in _gates(dtype, device):
        exact = forward(gate.double(), up.double(), ACTIVATION)
        yield torch.ops.loralab.gated(gate, up, ACTIVATION), exact


def _gated_backward(dtype: torch.dtype, device: torch.device) -> Pairs:
    (dy,) = _normal(device, (ROWS, WIDTH), dtype=dtype)
    for gate, up in _gates(dtype, device):
        exact = backward(dy.double(), gate.double(), up.double(), ACTIVATION)
        yield from zip(torch.ops.loralab.gated_backward(dy, gate, up, ACTIVATION), exact, strict=True)


def _halves_backward(dtype: torch.dtype, device: torch.device) -> Pairs:
    dy, both = _normal(device, (ROWS, WIDTH), (ROWS, 2 * WIDTH), dtype=dtype)
    exact = halves_backward(dy.double(), both.double(), ACTIVATION)
    yield torch.ops.loralab.gated_halves_backward(dy, both, ACTIVATION), exact


def _loss(dtype: torch.dtype, device: torch.device) -> Pairs:
    (logits,) = _normal(device, (ROWS, WIDTH), dtype=dtype)
    labels, wide = torch.arange(ROWS, device=device), logits.double()
    exact = torch.nn.functional.cross_entropy(wide, labels, reduction="sum")
    yield torch.ops.loralab.softmax_loss_(logits, labels, 0.5), exact
    yield logits, 0.5 * (wide.softmax(-1) - torch.nn.functional.one_hot(labels, WIDTH))


def _adam(device: torch.device) -> float:
    """0 where the codes of both moments are the reference's, else 2."""
    step, states = adam8bit.adam_step(1e-3, (0.9, 0.999), 1e-8, 0.1, 1, 7), []
    (parameter,), (gradient,) = (_normal(device, (600,), dtype=torch.float32) for _ in range(2))
    for _ in range(2):
        state = {name: torch.zeros(600, dtype=torch.uint8, device=device) for name in adam8bit_many.MOMENTS}
        state |= {f"{name}_scale": torch.zeros(3, device=device) for name in adam8bit_many.MOMENTS}
        states.append(state)
    numbers = adam8bit_many.packed_steps([step]).to(device)
    adam8bit_many.adamw8bit_many_([parameter.clone()], [gradient], [states[0]], numbers)
    adam8bit.by_torch(parameter.clone(), gradient, states[1], step)
    return 0.0 if all(torch.equal(states[0][name], states[1][name]) for name in states[0]) else 2.0


def _gates(dtype: torch.dtype, device: torch.device) -> Iterator[tuple[Tensor, Tensor]]:
    """Two tensors, and the halves of one."""
    gate, up, both = _normal(device, (ROWS, WIDTH), (ROWS, WIDTH), (ROWS, 2 * WIDTH), dtype=dtype)
    yield gate, up
    halves = both.chunk(2, -1)
    yield halves[0], halves[1]


def _normal(device: torch.device, *shapes: tuple[int, ...], dtype: torch.dtype) -> list[Tensor]:
    return [torch.randn(shape, device=device).to(dtype) for shape in shapes]


TESTS: dict[str, Callable[[torch.dtype, torch.device], Pairs]] = {
    "rms_norm": _norm,
    "rms_norm_backward": _norm_backward,
    "rotary": _rotary,
    "gated": _gated,
    "gated_backward": _gated_backward,
    "gated_halves_backward": _halves_backward,
    "softmax_loss_": _loss,
}
