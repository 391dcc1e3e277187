"""A tiny GGUF writer, and the plainest possible formulas of what its tensor types mean."""

import struct
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

MAGIC, TEXT, ARRAY = b"GGUF", 8, 9
KINDS = {"F32": 0, "F16": 1, "Q4_0": 2, "Q4_1": 3, "Q8_0": 8, "Q4_K": 12, "IQ4_XS": 23, "BF16": 30}
Written = tuple[str, Sequence[int], bytes]  # kind, shape with the outermost first, bytes


def text(value: str) -> bytes:
    return struct.pack("<Q", len(value.encode())) + value.encode()


def value(content: Any) -> bytes:
    """Kind and bytes of one metadata value."""
    if isinstance(content, list):
        inner = [value(each) for each in content]
        kind = inner[0][:4] if inner else struct.pack("<I", TEXT)
        return struct.pack("<I", ARRAY) + kind + struct.pack("<Q", len(inner)) + b"".join(each[4:] for each in inner)
    if isinstance(content, bool):
        return struct.pack("<I?", 7, content)
    if isinstance(content, int):
        return struct.pack("<Ii", 5, content)
    if isinstance(content, float):
        return struct.pack("<If", 6, content)
    return struct.pack("<I", TEXT) + text(content)


def info(name: str, shape: Sequence[int], kind: int, offset: int) -> bytes:
    sizes = struct.pack(f"<{len(shape)}Q", *reversed(shape))
    return text(name) + struct.pack("<I", len(shape)) + sizes + struct.pack("<IQ", kind, offset)


def gguf(metadata: Mapping[str, Any], tensors: Mapping[str, Written], version: int = 3) -> bytes:
    align = int(metadata.get("general.alignment", 32))
    infos, data = b"", b""
    for name, (kind, shape, content) in tensors.items():
        data += bytes(-len(data) % align)
        infos += info(name, shape, KINDS[kind], len(data))
        data += content
    head = MAGIC + struct.pack("<IQQ", version, len(tensors), len(metadata))
    head += b"".join(text(key) + value(content) for key, content in metadata.items()) + infos
    return head + bytes(-len(head) % align) + data


def write(path: Path, metadata: Mapping[str, Any], tensors: Mapping[str, Written], version: int = 3) -> Path:
    path.write_bytes(gguf(metadata, tensors, version))
    return path


def stored(array: np.ndarray, kind: str = "F32") -> Written:
    """`array` in a type that is not quantised."""
    if kind == "BF16":
        return kind, array.shape, (array.astype("<f4").view("<u4") >> 16).astype("<u2").tobytes()
    return kind, array.shape, array.astype({"F32": "<f4", "F16": "<f2"}[kind]).tobytes()


BLOCK_SIZES = {"Q8_0": 34, "Q4_0": 18, "Q4_1": 20}


def random_blocks(kind: str, shape: Sequence[int], seed: int = 0) -> Written:
    """Any bytes are blocks, if only their scales are small numbers."""
    generator = np.random.default_rng(seed)
    blocks = generator.integers(0, 256, (int(np.prod(shape)) // 32, BLOCK_SIZES[kind]), np.uint8)
    for place in (0, 2) if kind == "Q4_1" else (0,):
        blocks[:, place : place + 2] = generator.normal(0, 0.05, (len(blocks), 1)).astype("<f2").view(np.uint8)
    return kind, shape, blocks.tobytes()


def meaning(written: Written) -> list[float]:
    """Every element, one by one, as docs/gguf.md and ggml's comments have it."""
    kind, _, content = written
    if kind in ("F32", "F16"):
        return [number for (number,) in struct.iter_unpack("<f" if kind == "F32" else "<e", content)]
    if kind == "BF16":
        return [struct.unpack("<f", b"\0\0" + content[at : at + 2])[0] for at in range(0, len(content), 2)]
    size, found = BLOCK_SIZES[kind], []
    for at in range(0, len(content), size):
        found += _block(kind, content[at : at + size])
    return found


def _block(kind: str, block: bytes) -> list[float]:
    (scale,) = struct.unpack("<e", block[:2])
    if kind == "Q8_0":
        return [scale * whole for whole in struct.unpack("<32b", block[2:])]
    low = struct.unpack("<e", block[2:4])[0] if kind == "Q4_1" else -8 * scale
    packed = block[4:] if kind == "Q4_1" else block[2:]
    return [scale * (byte & 15) + low for byte in packed] + [scale * (byte >> 4) + low for byte in packed]
