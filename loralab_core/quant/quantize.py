"""A weight to its 4-bit or 8-bit form: rounded to the nearest, or with scales fitted to what they stand for."""

from collections.abc import Callable
from typing import Literal, get_args

import torch
from torch import Tensor

from loralab_core.errors import BadInput
from loralab_core.quant.codebooks import CODEBOOKS
from loralab_core.quant.scales import ROWS, TINY, decode_scales, encode_scales
from loralab_core.quant.tensor import Kind, QuantTensor

Method = Literal["nearest", "fitted"]
GROUPS = (32, 64, 128)
ELEMENTS = 1 << 18  # quantised at a time: its scratch stays in the cache
SHARES = (0.8, 0.85, 0.9, 0.95, 1.05)  # of the largest magnitude, tried as scales
ROUNDS = 2  # of codes for a scale, then the best scale for those codes

Parts = tuple[Tensor, Tensor, Tensor, Tensor]  # codes, scales, steps and zero-points of a QuantTensor
# By type of device, what does the same as `reference` below and faster; set when kernels are loaded and were tested
COMPILED: dict[str, Callable[[Tensor, int, Tensor, bool, bool], Parts]] = {}


def quantize(
    weight: Tensor, kind: Kind, group: int = 64, *, method: Method = "nearest", zero_points: bool = False
) -> QuantTensor:
    """weight [out, in], of any float type and on any device → its quantised form, there.

    kind: "nf4" (quantiles of a normal distribution), "int4" (even steps), "int8" (even steps, one scale a row; `group`
    is not used). method: "nearest" scales a group by its largest magnitude, as bitsandbytes does; "fitted" looks for
    the scale of the least squared error, of either sign (a scale below zero turns the codebook around, and that one
    reaches further on one side), and never has a larger one than "nearest". zero_points: even steps from the smallest
    to the largest of a group ("int4"). Raises BadInput for another shape, type, kind or group, and for weights that
    are not finite.
    """
    _check(weight, kind, group, method, zero_points)
    if kind == "int8":
        return _int8(weight)
    codebook = CODEBOOKS["steps" if zero_points else kind].to(weight.device)
    codes, scales, steps, zeros = _four_bit(weight, group, codebook, method == "fitted", zero_points)
    shape = (weight.shape[0], weight.shape[1])
    return QuantTensor(kind, shape, group, codes, scales, steps, codebook, zeros if zero_points else None)


def _four_bit(weight: Tensor, group: int, codebook: Tensor, fitted: bool, zero_points: bool) -> Parts:
    by = COMPILED.get(weight.device.type, reference)
    return by(weight, group, codebook, fitted, zero_points)


def reference(weight: Tensor, group: int, codebook: Tensor, fitted: bool, zero_points: bool) -> Parts:
    """By PyTorch, on any device: some rows at a time, a multiple of ROWS."""
    groups = -(-weight.shape[1] // group)
    rows = max(1, ELEMENTS // (groups * group * ROWS)) * ROWS
    parts = []
    for start in range(0, len(weight), rows):
        part = weight[start : start + rows].float()
        values = torch.nn.functional.pad(part, (0, groups * group - part.shape[1])).view(-1, groups, group)
        parts.append(_slab(values, codebook, fitted, zero_points))
    codes, scales, steps, zeros = (torch.cat(each) for each in zip(*parts, strict=True))
    return codes, scales, steps, zeros


def _slab(values: Tensor, codebook: Tensor, fitted: bool, zero_points: bool) -> Parts:
    """Of values [rows, groups, group]."""
    reach, zero = _range(values) if zero_points else (values.abs().amax(-1), values.new_zeros(values.shape[:2]))
    coded = reach  # nearest: the codes are those of the exact scale, as bitsandbytes has them
    scales, steps = encode_scales(reach)
    if fitted:
        best, others = encode_scales(_fitted(values, reach, zero, codebook, zero_points))
        scale, decoded = decode_scales(best, others), decode_scales(scales, steps)
        gain = _error(values, reach, decoded, zero, codebook) - _error(values, scale, scale, zero, codebook)
        blocks = [gain[start : start + ROWS] for start in range(0, len(gain), ROWS)]
        wins = torch.stack([block.double().sum() > 0 for block in blocks])  # rounding to 8 bits may undo it
        steps = torch.where(wins[:, None], others, steps)
        each = wins.repeat_interleave(ROWS)[: len(values), None]
        scales, coded = torch.where(each, best, scales), torch.where(each, scale, reach)
    index = _nearest(values, coded, zero, codebook).flatten(1)
    return index[:, 0::2] << 4 | index[:, 1::2], scales, steps, zero.to(torch.uint8)


def _range(values: Tensor) -> tuple[Tensor, Tensor]:
    """Scale and zero-point [rows, groups] that spread sixteen steps over a group; zero itself is one of them."""
    low, high = values.amin(-1).clamp_max(0), values.amax(-1).clamp_min(0)
    scale = (high - low) / 15
    return scale, (-low / scale.clamp_min(TINY)).round().clamp(0, 15)


def _nearest(values: Tensor, scale: Tensor, zero: Tensor, codebook: Tensor) -> Tensor:
    """Which entry of the codebook is nearest, uint8 [rows, groups, group]."""
    borders = (codebook[1:] + codebook[:-1]) / 2
    shares = torch.where(scale[..., None] != 0, values / scale[..., None], 0) + zero[..., None]
    return torch.bucketize(shares, borders, out_int32=True).to(torch.uint8)


def _fitted(values: Tensor, reach: Tensor, zero: Tensor, codebook: Tensor, zero_points: bool) -> Tensor:
    """The scale [rows, groups] of the least squared error among shares of `reach`, moved to its codes' own optimum."""
    best, least = reach, _error(values, reach, reach, zero, codebook)
    shares = SHARES if zero_points else (*SHARES, -1.0, *(-share for share in SHARES))
    for share in shares:
        best, least = _better(values, reach * share, zero, codebook, best, least)
    for _ in range(ROUNDS):
        said = codebook[_nearest(values, best, zero, codebook).int()] - zero[..., None]
        optimal = (said * values).sum(-1) / (said * said).sum(-1).clamp_min(TINY)
        best, least = _better(values, optimal, zero, codebook, best, least)
    return best


def _better(
    values: Tensor, tried: Tensor, zero: Tensor, codebook: Tensor, best: Tensor, least: Tensor
) -> tuple[Tensor, Tensor]:
    error = _error(values, tried, tried, zero, codebook)
    return torch.where(error < least, tried, best), torch.minimum(error, least)


def _error(values: Tensor, coded: Tensor, scale: Tensor, zero: Tensor, codebook: Tensor) -> Tensor:
    """Squared, [rows, groups], of the codes for one scale multiplied with another."""
    said = codebook[_nearest(values, coded, zero, codebook).int()] - zero[..., None]
    return (said * scale[..., None] - values).square().sum(-1)


def _int8(weight: Tensor) -> QuantTensor:
    out, width = weight.shape
    codes = torch.empty(out, width, dtype=torch.int8, device=weight.device)
    scales = torch.empty(out, device=weight.device)
    slab = max(1, ELEMENTS // width)
    for start in range(0, out, slab):
        part = weight[start : start + slab].float()
        scale = part.abs().amax(-1) / 127
        codes[start : start + slab] = (part / scale.clamp_min(TINY)[:, None]).round()
        scales[start : start + slab] = scale
    return QuantTensor("int8", (out, width), width, codes, scales)


def _check(weight: Tensor, kind: Kind, group: int, method: Method, zero_points: bool) -> None:
    if weight.dim() != 2 or not weight.is_floating_point() or not weight.numel():
        raise BadInput(f"a weight of [out, in] floats is wanted to quantise, not {weight.dtype} {list(weight.shape)}")
    if kind not in get_args(Kind):
        raise BadInput(f"no quantised form is called {kind!r}; use {', '.join(get_args(Kind))}")
    if kind != "int8" and group not in GROUPS:
        raise BadInput(f"groups of {group} weights are not supported; use {', '.join(map(str, GROUPS))}")
    if method not in get_args(Method):
        raise BadInput(f"no method of quantising is called {method!r}; use {', '.join(get_args(Method))}")
    if zero_points and kind != "int4":
        raise BadInput(f"zero-points go with int4, not with {kind}")
    if not torch.isfinite(torch.stack(weight.aminmax())).all():  # a NaN is both; nothing as large as the weight is made
        raise BadInput("a weight that is to be quantised holds infinite numbers or NaN; download the model again")
