"""Quantisers as one would write them down: block by block, with what lies beside the weight and what it stands for."""

import json
from math import ceil

import torch
from torch import Tensor

from loralab_core.quant.codebooks import CODEBOOKS

Quantised = tuple[dict[str, Tensor], Tensor]  # by what follows the module's name; the values they stand for


def four_bit(weight: Tensor, kind: str = "nf4", blocksize: int = 64, nested: bool = False) -> Quantised:
    codebook = CODEBOOKS[kind]
    blocks = weight.float().flatten().split(blocksize)
    scales = torch.stack([block.abs().max() for block in blocks])
    state = {"quant_type": kind, "blocksize": blocksize, "shape": list(weight.shape), "dtype": _name(weight)}
    parts = {".weight.quant_map": codebook.clone(), ".weight.absmax": scales}
    if nested:
        scales = _nest(scales, parts, state)
    codes = [_nearest(block / scale, codebook) for block, scale in zip(blocks, scales, strict=True)]
    values = [codebook[code] * scale for code, scale in zip(codes, scales, strict=True)]
    parts[".weight"] = _packed(torch.cat(codes))
    parts[f".weight.quant_state.bitsandbytes__{kind}"] = as_bytes(json.dumps(state))
    return parts, torch.cat(values).view(weight.shape).to(weight.dtype)


def eight_bit(weight: Tensor) -> Quantised:
    maxima = weight.float().abs().amax(1)
    codes = torch.round(weight.float() * 127 / maxima[:, None]).to(torch.int8)
    parts = {".weight": codes, ".SCB": maxima, ".weight_format": torch.tensor(0, dtype=torch.uint8)}
    return parts, torch.stack([row * peak * 7.874015718698502e-3 for row, peak in zip(codes, maxima, strict=True)])


def fp8(weight: Tensor, block: int = 16) -> Quantised:
    """E4M3 reaches to 448. Blocks of 128 in real files; the last one of a row or column may be smaller."""
    rows, columns = weight.shape
    scales = torch.empty(ceil(rows / block), ceil(columns / block))
    codes, values = torch.empty(rows, columns, dtype=torch.float8_e4m3fn), torch.empty(rows, columns)
    for i in range(len(scales)):
        for j in range(scales.shape[1]):
            here = slice(i * block, (i + 1) * block), slice(j * block, (j + 1) * block)
            scales[i, j] = weight[here].float().abs().max() / 448
            codes[here] = (weight[here].float() / scales[i, j]).to(codes.dtype)
            values[here] = codes[here].float() * scales[i, j]
    return {".weight": codes, ".weight_scale_inv": scales}, values


def mlx(weight: Tensor, bits: int = 4, group: int = 16) -> Quantised:
    """Each row as one long number whose lowest bits are the first value."""
    groups = weight.unflatten(1, (-1, group))
    low, high = groups.amin(2), groups.amax(2)
    scales = (high - low) / (2**bits - 1)
    codes = ((groups - low[:, :, None]) / scales[:, :, None]).round().clamp(0, 2**bits - 1)
    values = codes * scales[:, :, None] + low[:, :, None]
    length = weight.shape[1] * bits // 8
    numbers = [sum(int(q) << (j * bits) for j, q in enumerate(row)) for row in codes.flatten(1)]
    words = torch.tensor([list(number.to_bytes(length, "little")) for number in numbers], dtype=torch.uint8)
    return {".weight": words.view(torch.uint32), ".scales": scales, ".biases": low}, values.flatten(1)


def as_bytes(text: str) -> Tensor:
    return torch.tensor(list(text.encode()), dtype=torch.uint8)


def _nest(scales: Tensor, parts: dict[str, Tensor], state: dict[str, object], blocksize: int = 16) -> Tensor:
    """Double quantisation: the scales as codes; returns what they then stand for."""
    offset, table = scales.mean().item(), torch.linspace(-1, 1, 256)
    blocks = (scales - offset).split(blocksize)
    outer = torch.stack([block.abs().max() for block in blocks])
    codes = [_nearest(block / peak, table) for block, peak in zip(blocks, outer, strict=True)]
    parts[".weight.absmax"] = torch.cat(codes).to(torch.uint8)
    parts |= {".weight.nested_absmax": outer, ".weight.nested_quant_map": table}
    state |= {"nested_blocksize": blocksize, "nested_offset": offset, "nested_dtype": "float32"}
    return torch.cat([table[code] * peak for code, peak in zip(codes, outer, strict=True)]) + offset


def _nearest(values: Tensor, table: Tensor) -> Tensor:
    return (values[:, None] - table).abs().argmin(1)


def _packed(codes: Tensor) -> Tensor:
    """Two a byte, the first in the high half: [n/2, 1] as bitsandbytes has it."""
    padded = torch.zeros(2 * ceil(len(codes) / 2), dtype=torch.uint8)
    padded[: len(codes)] = codes
    return (padded[::2] * 16 + padded[1::2])[:, None]


def _name(weight: Tensor) -> str:
    return str(weight.dtype).removeprefix("torch.")
