"""The self-test: every kernel against its reference on the CPU, on shapes that fill no tile. Some milliseconds each."""

from collections.abc import Callable, Iterator
from functools import partial

import torch
from torch import Tensor

from loralab_core.ops import adam8bit as adam
from loralab_core.ops import gated, rms_norm, rotary
from loralab_core.ops.blockwise8 import dynamic_map
from loralab_core.ops.metal import elementwise, products, states
from loralab_core.ops.metal.dequantize import ELEMENTS as DENSE
from loralab_core.ops.metal.dequantize import dequantize
from loralab_core.ops.metal.launch import Kernels
from loralab_core.ops.quant_matmul import parts, reference
from loralab_core.quant import QuantTensor, quantize

OUT, WIDTH, EXTRA = 53, 101, 5
FEW, MANY = 3, 37
ELEMENTS = 600
ROOM = {torch.float32: 1e-5, torch.float16: 2e-3, torch.bfloat16: 0.01}  # of the norm: a wrong sum is off by far more
WRONG_CODES = "its codes are not those of the reference"

Test = Callable[[Kernels, torch.device], str]


def failures(kernels: Kernels, device: torch.device) -> dict[str, str]:
    """What is wrong with each path and operator that does not agree, by name."""
    found = {}
    for name, test in TESTS.items():
        try:
            why = test(kernels, device)
        except (RuntimeError, SyntaxError, ValueError, AttributeError) as raised:  # a source that Metal does not take
            lines = [line for line in str(raised).splitlines() if "error" in line] or str(raised).splitlines()
            why = (lines or [type(raised).__name__])[0].strip()
        if why:
            found[name] = why
    return found


def _product(path: str, kernels: Kernels, device: torch.device) -> str:
    errors = []
    for weight, rows, transposed, dtype in _cases():
        if transposed and path == "rows":
            continue
        inner, columns = (OUT, WIDTH) if transposed else (WIDTH, OUT)
        x, left, right, bias = _normal((rows, inner), (rows, EXTRA), (columns, EXTRA), (columns,))
        x = x.to(dtype)
        packed = parts(weight.to(device))
        addend = (left.to(device), right.to(device), bias.to(device))
        y = products.quant_matmul(kernels, x.to(device), *packed, transposed, *addend, path)
        errors.append((y, reference(x.float(), weight, transposed, left, right, bias)))
    return _judge(errors)


def _cases() -> Iterator[tuple[QuantTensor, int, bool, torch.dtype]]:
    """Weight, rows of x, whether transposed, type of x: every weight both ways, the commonest in every type."""
    (dense,) = _normal((OUT, WIDTH))
    nf4 = quantize(dense, "nf4", 32)
    for transposed in (False, True):
        yield nf4, MANY, transposed, torch.float32
        yield nf4, 1, transposed, torch.float16
        yield nf4, FEW, transposed, torch.bfloat16
        yield quantize(dense, "int4", 64, zero_points=True), FEW, transposed, torch.float32
        yield quantize(dense, "int8"), MANY, transposed, torch.float16


def _dense(kernels: Kernels, device: torch.device) -> str:
    (dense,) = _normal((OUT, WIDTH))
    pairs = []
    for weight in (quantize(dense, "nf4", 32), quantize(dense, "int8")):
        for element in range(len(DENSE)):
            rows = dequantize(kernels, *parts(weight.to(device)), 3, OUT - 2, element)
            pairs.append((rows, weight.dequantize()[3 : OUT - 2]))
    return _judge(pairs)


def _steps(kernels: Kernels, device: torch.device) -> str:
    for dtype in (torch.float32, torch.bfloat16):
        there, here = _moved(kernels, device, dtype), _moved(None, torch.device("cpu"), dtype)
        if not all(torch.equal(there[name], here[name]) for name in here if name != "parameter"):
            return WRONG_CODES
        if why := _judge([(there["parameter"], here["parameter"].float())]):
            return why
    return ""


def _moved(kernels: Kernels | None, device: torch.device, dtype: torch.dtype) -> dict[str, Tensor]:
    """Parameter and moments after two steps, on the CPU; by PyTorch where there are no kernels."""
    (start,) = _normal((ELEMENTS,))
    parameter = start.to(device, dtype)
    state = {name: torch.zeros(ELEMENTS, dtype=torch.uint8, device=device) for name in ("exp_avg", "exp_avg_sq")}
    state |= {f"{name}_scale": torch.zeros(-(-ELEMENTS // 256), device=device) for name in tuple(state)}
    maps = (dynamic_map(True).to(device), dynamic_map(False).to(device))
    for number in (1, 2):
        step = adam.adam_step(1e-2, (0.9, 0.999), 1e-8, 0.1, number, 7 << 33 | 5)
        gradient = (start.roll(number) * 10 ** start.roll(-number)).to(device, dtype)
        if kernels is None:
            adam.by_torch(parameter, gradient, state, step)
        else:
            mean, square, *scales = state.values()
            numbers = list(step[:8])
            states.adam8bit(kernels, parameter, gradient, mean, square, scales[0], scales[1], numbers, step.seed, *maps)
    return {name: each.cpu() for name, each in {**state, "parameter": parameter}.items()}


def _norm(kernels: Kernels, device: torch.device) -> str:
    pairs = []
    for dtype in ROOM:
        x, gain = (each.to(dtype) for each in _normal((FEW, WIDTH), (WIDTH,)))
        y, _ = elementwise.rms_norm(kernels, x.to(device), gain.to(device), 1e-6, 1.0)
        pairs.append((y, rms_norm(x.float(), gain.float(), 1e-6, 1.0)))
    return _judge(pairs)


def _norm_backward(kernels: Kernels, device: torch.device) -> str:
    pairs = []
    for dtype in ROOM:
        dy, x, gain = (each.to(dtype) for each in _normal((FEW, WIDTH), (FEW, WIDTH), (WIDTH,)))
        dy = dy.flip(0)
        wide = x.float().requires_grad_()
        rms_norm(wide, gain.float(), 1e-6, 1.0).backward(dy.float())  # type: ignore[no-untyped-call]
        scale = torch.rsqrt(x.float().pow(2).mean(-1, keepdim=True) + 1e-6)
        dx = elementwise.rms_norm_backward(kernels, dy.to(device), x.to(device), gain.to(device), scale.to(device), 1.0)
        assert wide.grad is not None
        pairs.append((dx, wide.grad))
    return _judge(pairs)


def _turned(kernels: Kernels, device: torch.device) -> str:
    pairs = []
    for dtype in ROOM:
        x, angle = _normal((2, FEW, 3, 2 * EXTRA + 1), (1, FEW, 1, EXTRA))
        x = x.to(dtype)
        for sign in (1, -1):
            y = elementwise.rotary(kernels, x.to(device), angle.cos().to(device), angle.sin().to(device), sign < 0)
            pairs.append((y, rotary(x.float(), angle.cos(), sign * angle.sin())))
    return _judge(pairs)


def _gated(kernels: Kernels, device: torch.device) -> str:
    pairs = []
    for dtype in ROOM:
        (both,) = _normal((FEW, 2 * WIDTH))
        gate, up = both.to(dtype).chunk(2, -1)
        there, beside = both.to(device, dtype).chunk(2, -1)
        for activation in elementwise.ACTIVATIONS:
            y = elementwise.gated(kernels, there, beside, activation)
            pairs.append((y, gated(gate.float(), up.float(), activation)))
    return _judge(pairs)


def _gated_backward(kernels: Kernels, device: torch.device) -> str:
    pairs = []
    for dtype in ROOM:
        both, dy = (each.to(dtype) for each in _normal((FEW, 2 * WIDTH), (FEW, WIDTH)))
        there, beside = both.to(device).chunk(2, -1)
        for activation in elementwise.ACTIVATIONS:
            gate, up = (each.float().requires_grad_() for each in both.chunk(2, -1))
            gated(gate, up, activation).backward(dy.float())  # type: ignore[no-untyped-call]
            ours = elementwise.gated_backward(kernels, dy.to(device), there, beside, activation)
            assert gate.grad is not None and up.grad is not None
            pairs += list(zip(ours, (gate.grad, up.grad), strict=True))
    return _judge(pairs)


def _lost(kernels: Kernels, device: torch.device) -> str:
    pairs = []
    for dtype in ROOM:
        (logits,) = _normal((FEW, WIDTH))
        labels, logits = torch.tensor([0, WIDTH - 1, 40]), (5 * logits).to(dtype)
        wide = logits.float().requires_grad_()
        loss = torch.nn.functional.cross_entropy(wide, labels, reduction="sum")
        (0.5 * loss).backward()  # type: ignore[no-untyped-call]
        there = logits.to(device)
        assert wide.grad is not None
        pairs += [(elementwise.softmax_loss(kernels, there, labels.to(device), 0.5), loss.detach()), (there, wide.grad)]
    return _judge(pairs)


def _judge(pairs: list[tuple[Tensor, Tensor]]) -> str:
    """Ours and what it should be, in float32 on the CPU."""
    worst = 0.0
    for ours, expected in pairs:
        error = float((ours.detach().cpu().float() - expected).norm() / expected.norm())
        worst = max(worst, error / ROOM[ours.dtype]) if error == error else float("inf")
    return f"it is off by {worst:.1f} times what rounding explains" if worst > 1 else ""


def _normal(*shapes: tuple[int, ...]) -> list[Tensor]:
    generator = torch.Generator().manual_seed(1)
    return [torch.randn(shape, generator=generator) for shape in shapes]


TESTS: dict[str, Test] = {
    **{path: partial(_product, path) for path in products.PATHS},
    "dequantize": _dense,
    "adam8bit_": _steps,
    "rms_norm": _norm,
    "rms_norm_backward": _norm_backward,
    "rotary": _turned,
    "gated": _gated,
    "gated_backward": _gated_backward,
    "softmax_loss_": _lost,
}
