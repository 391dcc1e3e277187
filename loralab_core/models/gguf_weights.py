"""Weights from a GGUF file into a Decoder: one tensor at a time, dequantised a few blocks at a time.

Files are read, not mapped, so that pages of the file never count as memory of this process.
"""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO

import torch
from torch import Tensor

from loralab_core.errors import BadInput, explain_os_error
from loralab_core.gguf import GGUFFile, TensorInfo, read_gguf
from loralab_core.models.decoder import Decoder
from loralab_core.models.gguf_places import NO_WEIGHTS, Place, stored_in_gguf
from loralab_core.models.incoming import Named, Recipe, weights

BLOCKS = 1 << 10  # of 32 elements, dequantised at once: the most that torch does without waiting for other threads


def copy_gguf(model: Decoder, path: Path, recipe: Recipe | None = None) -> Iterator[int]:
    """Fill a model of the file's own config; yields the bytes of each tensor. Raises BadInput."""
    found = read_gguf(path)
    wanted = weights(model, stored_in_gguf, recipe, one_by_one=False)
    _check(found, wanted)
    try:
        with open(path, "rb") as file:
            for info in found.tensors.values():
                if info.name not in NO_WEIGHTS:
                    with wanted[info.name].opened(torch.float32, f"{path}: {info.name}") as place:
                        _copy(file, info, place)
                yield info.size
    except OSError as error:
        raise BadInput(explain_os_error(error, f"read {path}")) from None


def _check(file: GGUFFile, wanted: dict[str, Named[Place]]) -> None:
    """Nothing is left out, in the model or in the file: a part that is not known must not be passed over."""
    if missing := sorted(wanted.keys() - file.tensors.keys()):
        raise BadInput(f"{file.path} lacks {len(missing)} tensors, for instance {missing[0]}; download it again")
    if left := sorted(file.tensors.keys() - wanted.keys() - set(NO_WEIGHTS)):
        raise BadInput(
            f"{file.path}: {left[0]} is a part this decoder does not have; use the model's directory with config.json"
        )
    for name, weight in wanted.items():
        if (shape := file.tensors[name].shape) != weight.shape:
            raise BadInput(
                f"{file.path}: {name} has shape {list(shape)} but the metadata asks for {list(weight.shape)}; "
                f"download it again"
            )


@torch.no_grad()
def _copy(file: BinaryIO, info: TensorInfo, place: Place) -> None:
    view = place.view
    if view.is_contiguous() and view.device.type == "cpu" and not place.offset:
        return read_into(view, file, info)
    # an offset is taken off before anything is rounded
    whole = torch.empty(view.shape, dtype=torch.float32 if place.offset else view.dtype)
    read_into(whole, file, info)
    view.copy_(whole - place.offset if place.offset else whole)


def read_into(whole: Tensor, file: BinaryIO, info: TensorInfo) -> None:
    """Fill a contiguous CPU tensor of as many elements, in its own precision.

    Raises BadInput where the file has become shorter since its header was read.
    """
    flat, decode = whole.view(-1), DECODE[info.kind.name]
    step = BLOCKS * 32 // info.kind.block * info.kind.size
    buffer = bytearray(min(step, info.size))
    file.seek(info.offset)
    at = 0
    for start in range(0, info.size, step):
        part = memoryview(buffer)[: min(step, info.size - start)]
        if file.readinto(part) != len(part):  # type: ignore[attr-defined]
            raise BadInput(f"{file.name} was cut short while it was read; download it again")
        values = decode(torch.frombuffer(part, dtype=torch.uint8))
        flat[at : at + values.numel()] = values
        at += values.numel()


def _q8_0(raw: Tensor) -> Tensor:
    """Blocks of 32: d float16, 32 × q int8; x = d·q."""
    blocks = raw.view(-1, 34)
    return (_half(blocks, 0) * blocks[:, 2:].view(torch.int8)).view(-1)


def _q4_0(raw: Tensor) -> Tensor:
    """Blocks of 32: d float16, 16 bytes of two 4-bit q; x = d·(q - 8)."""
    blocks = raw.view(-1, 18)
    return (_half(blocks, 0) * (_nibbles(blocks[:, 2:]) - 8.0)).view(-1)


def _q4_1(raw: Tensor) -> Tensor:
    """Blocks of 32: d and m float16, 16 bytes of two 4-bit q; x = d·q + m."""
    blocks = raw.view(-1, 20)
    return (_half(blocks, 0) * _nibbles(blocks[:, 4:]) + _half(blocks, 2)).view(-1)


def _half(blocks: Tensor, at: int) -> Tensor:
    """The float16 at byte `at` of each block, as float32 [blocks, 1]."""
    return blocks[:, at : at + 2].contiguous().view(torch.float16).float()


def _nibbles(packed: Tensor) -> Tensor:
    """[blocks, 16] bytes → [blocks, 32]: all the low halves, then all the high ones."""
    return torch.cat((packed & 15, packed >> 4), dim=1)


DECODE: dict[str, Callable[[Tensor], Tensor]] = {
    "F32": lambda raw: raw.view(torch.float32),
    "F16": lambda raw: raw.view(torch.float16),
    "BF16": lambda raw: raw.view(torch.bfloat16),
    "Q8_0": _q8_0,
    "Q4_0": _q4_0,
    "Q4_1": _q4_1,
}
