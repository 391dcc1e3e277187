"""Norms, rotary positions, gates and the loss, each one pass (csrc/metal/norm, rotary, gate and loss.metal)."""

import torch
from torch import Tensor

from loralab_core.ops.metal.launch import NAMES, Kernels, cut

SIMD, WIDEST = 32, 256  # threads: of a simdgroup; of a group that makes a row, which every kernel's registers allow
SIZE = (64, 4)  # of groups that make elements, each on its own
ACTIVATIONS = ("silu", "gelu", "gelu_tanh", "relu")  # as csrc/metal/gate.metal numbers them


def _rows(x: Tensor) -> tuple[Tensor, int]:
    """x [..., width] as [rows, width] and the elements between rows: itself where its rows are evenly apart."""
    flat = x.reshape(-1, x.shape[-1])
    flat = flat if flat.stride(1) == 1 or flat.shape[1] == 1 else flat.contiguous()
    return flat, flat.stride(0)


def _threads(width: int) -> tuple[int]:
    return (min(WIDEST, cut(width, SIMD) * SIMD),)


def _gain(gain: Tensor, x: Tensor) -> Tensor:
    return gain.contiguous() if gain.dtype == x.dtype else gain.float().contiguous()


def rms_norm(kernels: Kernels, x: Tensor, gain: Tensor, eps: float, offset: float) -> tuple[Tensor, Tensor]:
    """y = x / rms(x) · (offset + gain), contiguous in x's dtype, and 1 / rms, float32 [..., 1]."""
    (rows, stride), gain = _rows(x), _gain(gain, x)
    y, scale = torch.empty_like(x, memory_format=torch.contiguous_format), x.new_empty(len(rows), dtype=torch.float32)
    name = f"rms_norm_{NAMES[x.dtype]}_{NAMES[gain.dtype]}"
    how = ([x.shape[-1], stride], [eps, offset])
    kernels.run("norm", name, rows, gain, y, scale, *how, groups=(len(rows),), size=_threads(x.shape[-1]))
    return y, scale.view(*x.shape[:-1], 1)


def rms_norm_backward(kernels: Kernels, dy: Tensor, x: Tensor, gain: Tensor, scale: Tensor, offset: float) -> Tensor:
    """dx, contiguous in x's dtype; scale as rms_norm gave it."""
    (rows, stride), gain = _rows(x), _gain(gain, x)
    dx = torch.empty_like(x, memory_format=torch.contiguous_format)
    name = f"rms_norm_backward_{NAMES[x.dtype]}_{NAMES[gain.dtype]}"
    given = (dy.to(x.dtype).contiguous(), rows, gain, scale.contiguous(), dx)
    how = ([x.shape[-1], stride], [0.0, offset])
    kernels.run("norm", name, *given, *how, groups=(len(rows),), size=_threads(x.shape[-1]))
    return dx


def rotary(kernels: Kernels, x: Tensor, cos: Tensor, sin: Tensor, inverse: bool) -> Tensor:
    """x [batch, time, heads, D] turned by its positions, or back; cos and sin [batch or 1, time, 1, S/2]."""
    x = x if x.stride(3) == 1 else x.contiguous()
    batch, time, heads, width = x.shape
    angles = [each.float().contiguous() for each in (cos, sin)]
    pairs = cos.shape[-1]
    y = torch.empty_like(x, memory_format=torch.contiguous_format)
    apart = 0 if cos.shape[0] == 1 else time * pairs
    turn = [heads, time, width, pairs, *x.stride()[:3], apart, int(inverse)]
    rows = batch * time * heads
    groups = (cut(width - pairs, SIZE[0]), cut(rows, SIZE[1]))
    kernels.run("rotary", f"rotary_{NAMES[x.dtype]}", x, *angles, y, turn, [rows], groups=groups, size=SIZE)
    return y


def gated(kernels: Kernels, gate: Tensor, up: Tensor, activation: str) -> Tensor:
    """activation(gate) · up, contiguous; gate and up may be halves of one tensor."""
    (gates, of_gate), (ups, of_up) = _rows(gate), _rows(up)
    y = torch.empty_like(gate, memory_format=torch.contiguous_format)
    form = [*gates.shape, of_gate, of_up, ACTIVATIONS.index(activation)]
    kernels.run("gate", f"gated_{NAMES[gate.dtype]}", gates, ups, y, form, groups=_cover(gates), size=SIZE)
    return y


def gated_backward(kernels: Kernels, dy: Tensor, gate: Tensor, up: Tensor, activation: str) -> tuple[Tensor, Tensor]:
    """Gradients of gate and up, each contiguous."""
    (gates, of_gate), (ups, of_up) = _rows(gate), _rows(up)
    dgate, dup = (torch.empty_like(each, memory_format=torch.contiguous_format) for each in (gate, up))
    form = [*gates.shape, of_gate, of_up, ACTIVATIONS.index(activation)]
    given = (dy.to(gate.dtype).contiguous(), gates, ups, dgate, dup)
    kernels.run("gate", f"gated_backward_{NAMES[gate.dtype]}", *given, form, groups=_cover(gates), size=SIZE)
    return dgate, dup


def softmax_loss(kernels: Kernels, logits: Tensor, labels: Tensor, scale: float) -> Tensor:
    """Σ −log softmax(logits)[label], a float32 scalar; logits [rows, vocab] become scale · (softmax − one-hot)."""
    if not logits.is_contiguous():
        raise ValueError("logits must be contiguous: their gradient takes their place")
    rows, width = logits.shape
    losses = logits.new_empty(rows, dtype=torch.float32)
    given = (logits, labels.reshape(-1).long().contiguous(), losses, [width], [scale])
    kernels.run("loss", f"softmax_loss_{NAMES[logits.dtype]}", *given, groups=(rows,), size=_threads(width))
    return losses.sum()


def _cover(rows: Tensor) -> tuple[int, int]:
    return cut(rows.shape[1], SIZE[0]), cut(len(rows), SIZE[1])
