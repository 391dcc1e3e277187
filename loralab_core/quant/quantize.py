"""A weight to its 4-bit or 8-bit form: rounded to the nearest, or with scales fitted to what they stand for."""

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
SHRUNK = tuple(0.7 + 0.05 * number for number in range(7))  # shares of the largest magnitude, tried as scales
ROUNDS = 2  # of codes for a scale, then the best scale for those codes


def quantize(
    weight: Tensor, kind: Kind, group: int = 64, *, method: Method = "nearest", zero_points: bool = False
) -> QuantTensor:
    """weight [out, in], of any float type and on any device → its quantised form, there.

    kind: "nf4" (quantiles of a normal distribution), "int4" (even steps), "int8" (even steps, one scale a row; `group`
    is not used). method: "nearest" scales a group by its largest magnitude, as bitsandbytes does; "fitted" looks for
    the scale of the least squared error. zero_points: even steps from the smallest to the largest of a group ("int4").
    Raises BadInput for another shape, type, kind or group, and for weights that are not finite.
    """
    _check(weight, kind, group, method, zero_points)
    if kind == "int8":
        return _int8(weight)
    out, width = weight.shape
    groups = -(-width // group)
    codebook = CODEBOOKS["steps" if zero_points else kind].to(weight.device)
    slab = max(1, ELEMENTS // (groups * group * ROWS)) * ROWS
    parts = [
        _slab(weight[start : start + slab], groups, group, codebook, method, zero_points)
        for start in range(0, out, slab)
    ]
    codes, scales, steps, zeros = (torch.cat(each) for each in zip(*parts, strict=True))
    return QuantTensor(kind, (out, width), group, codes, scales, steps, codebook, zeros if zero_points else None)


def _slab(
    weight: Tensor, groups: int, group: int, codebook: Tensor, method: Method, zero_points: bool
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Codes, scales, steps and zero-points of some rows, a multiple of ROWS but at the end."""
    values = torch.nn.functional.pad(weight.float(), (0, groups * group - weight.shape[1])).view(-1, groups, group)
    scale, zero = _range(values) if zero_points else (values.abs().amax(-1), values.new_zeros(values.shape[:2]))
    if method == "fitted":
        scale = _fitted(values, scale, zero, codebook)
    codes, steps = encode_scales(scale)
    if method == "fitted":  # for the scale that will be multiplied with; others keep to the codes of the exact one
        scale = decode_scales(codes, steps)
    index = _nearest(values, scale, zero, codebook).flatten(1)
    return index[:, 0::2] << 4 | index[:, 1::2], codes, steps, zero.to(torch.uint8)


def _range(values: Tensor) -> tuple[Tensor, Tensor]:
    """Scale and zero-point [rows, groups] that spread sixteen steps over a group; zero itself is one of them."""
    low, high = values.amin(-1).clamp_max(0), values.amax(-1).clamp_min(0)
    scale = (high - low) / 15
    return scale, (-low / scale.clamp_min(TINY)).round().clamp(0, 15)


def _nearest(values: Tensor, scale: Tensor, zero: Tensor, codebook: Tensor) -> Tensor:
    """Which entry of the codebook is nearest, uint8 [rows, groups, group]."""
    borders = (codebook[1:] + codebook[:-1]) / 2
    shares = torch.where(scale[..., None] > 0, values / scale[..., None], 0) + zero[..., None]
    return torch.bucketize(shares, borders, out_int32=True).to(torch.uint8)


def _fitted(values: Tensor, scale: Tensor, zero: Tensor, codebook: Tensor) -> Tensor:
    """The scale [rows, groups] of the least squared error among shrunk ones, then moved to its codes' own optimum."""
    best, least = scale, _error(values, scale, zero, codebook)
    for share in SHRUNK:
        best, least = _better(values, scale * share, zero, codebook, best, least)
    for _ in range(ROUNDS):
        said = codebook[_nearest(values, best, zero, codebook).int()] - zero[..., None]
        optimal = (said * values).sum(-1) / (said * said).sum(-1).clamp_min(TINY)
        best, least = _better(values, optimal, zero, codebook, best, least)
    return best


def _better(
    values: Tensor, tried: Tensor, zero: Tensor, codebook: Tensor, best: Tensor, least: Tensor
) -> tuple[Tensor, Tensor]:
    error = _error(values, tried, zero, codebook)
    return torch.where(error < least, tried, best), torch.minimum(error, least)


def _error(values: Tensor, scale: Tensor, zero: Tensor, codebook: Tensor) -> Tensor:
    """Squared, [rows, groups]."""
    said = codebook[_nearest(values, scale, zero, codebook).int()] - zero[..., None]
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
    if not torch.isfinite(weight).all():
        raise BadInput("a weight that is to be quantised holds infinite numbers or NaN; download the model again")
