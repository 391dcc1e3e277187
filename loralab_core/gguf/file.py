"""The header of a GGUF file: metadata, and where each tensor lies.

magic, version, counts, metadata, tensor infos, padding, tensor data; little-endian. Every count and every size is
held against the bytes that are there before anything is made of it.
"""

import mmap
import struct
from dataclasses import dataclass
from functools import lru_cache
from math import prod
from pathlib import Path
from typing import Any

from loralab_core.errors import BadInput, explain_os_error
from loralab_core.gguf.header import Damaged, Header
from loralab_core.gguf.types import OTHER_TYPES, TENSOR_TYPES, TensorType

MAGIC, VERSIONS = b"GGUF", (2, 3)
MOST_DIMENSIONS = 4
LEAST_ENTRY, LEAST_INFO = 13, 24  # bytes of a metadata entry and of a tensor info, however small


@dataclass(frozen=True)
class TensorInfo:
    """`shape` is outermost first, as torch has it; `offset` and `size` are bytes of the file."""

    name: str
    shape: tuple[int, ...]
    kind: TensorType
    offset: int
    size: int


@dataclass(frozen=True, eq=False)  # by identity: what is made of it can be cached
class GGUFFile:
    path: Path
    metadata: dict[str, Any]  # numbers, texts, and lists of either
    tensors: dict[str, TensorInfo]


def is_gguf(source: Path) -> bool:
    """A model that is one file, not a directory, is a GGUF file or none."""
    return source.is_file()


def read_gguf(path: Path) -> GGUFFile:
    """What the file says of itself; no tensor is read. Raises BadInput for what is damaged or not readable here."""
    try:
        about = path.stat()
        return _read(path, about.st_size, about.st_mtime_ns)
    except OSError as error:
        raise BadInput(explain_os_error(error, f"read {path}")) from None


@lru_cache(maxsize=1)  # configuration, tokenizer and weights ask one after the other
def _read(path: Path, size: int, changed: int) -> GGUFFile:
    with open(path, "rb") as file:
        if file.read(len(MAGIC)) != MAGIC:
            raise BadInput(f"{path} is not a GGUF file; give a model directory, a .gguf file or a Hub id")
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
            try:
                found = _parse(path, Header(content, len(MAGIC)), size)
            except Damaged as damage:
                raise BadInput(f"{path} is damaged: {damage}; download it again") from None
    _check_whole(found)
    return found


def read_floats(file: GGUFFile, name: str) -> list[float]:
    """A short tensor that belongs to the configuration, such as rotary factors. Raises BadInput."""
    info = file.tensors[name]
    if info.kind.name != "F32" or len(info.shape) != 1:
        raise BadInput(f"{file.path}: {name} should be a list of F32 numbers; convert the model again")
    try:
        with open(file.path, "rb") as opened:
            opened.seek(info.offset)
            return list(struct.unpack(f"<{info.shape[0]}f", opened.read(info.size)))
    except (OSError, struct.error):
        raise BadInput(f"{file.path} cannot be read any more; download it again") from None


def _parse(path: Path, header: Header, size: int) -> GGUFFile:
    version = header.number("I")
    if version not in VERSIONS:
        raise BadInput(f"{path} is GGUF version {version}, only 2 and 3 are read; convert the model again")
    tensors, entries = header.count(LEAST_INFO), header.count(LEAST_ENTRY)
    metadata = dict(header.entry() for _ in range(entries))
    alignment = metadata.get("general.alignment", 32)
    if not isinstance(alignment, int) or alignment < 1 or alignment & (alignment - 1):
        raise Damaged(f"general.alignment is {alignment!r}")
    stated = [_info(path, header) for _ in range(tensors)]
    start = -(-header.at // alignment) * alignment
    infos = {name: _place(name, shape, kind, start + offset, size) for name, shape, kind, offset in stated}
    if len(infos) != tensors:
        raise Damaged("two tensors have the same name")
    return GGUFFile(path, metadata, infos)


def _info(path: Path, header: Header) -> tuple[str, tuple[int, ...], TensorType, int]:
    name, dimensions = header.text(), header.number("I")
    if not 1 <= dimensions <= MOST_DIMENSIONS:
        raise Damaged(f"{name} has {dimensions} dimensions")
    shape = tuple(header.number("Q") for _ in range(dimensions))[::-1]
    kind, offset = header.number("I"), header.number("Q")
    if kind not in TENSOR_TYPES:
        readable = ", ".join(known.name for known in TENSOR_TYPES.values())
        raise BadInput(
            f"{path}: {name} is stored as {OTHER_TYPES.get(kind, f'type {kind}')}, which is not read here; use the "
            f"model's file in {readable}"
        )
    return name, shape, TENSOR_TYPES[kind], offset


def _place(name: str, shape: tuple[int, ...], kind: TensorType, offset: int, size: int) -> TensorInfo:
    if 0 in shape or shape[-1] % kind.block:
        raise Damaged(f"{name} has the shape {list(shape)}, which {kind.name} cannot have")
    taken = prod(shape) // kind.block * kind.size
    if offset + taken > size:
        raise Damaged(f"it is cut short, {name} would end at byte {offset + taken:,} of {size:,}")
    return TensorInfo(name, shape, kind, offset, taken)


def _check_whole(found: GGUFFile) -> None:
    parts = found.metadata.get("split.count", 0)
    if isinstance(parts, int) and parts > 1:
        raise BadInput(f"{found.path} is one of {parts} parts; join them with `llama-gguf-split --merge` first")
    if (kind := found.metadata.get("general.type", "model")) != "model":
        raise BadInput(f"{found.path} holds no model but {kind!r}; give the .gguf file of the model itself")
