"""Quantised matrices, and dense tensors beside them, as one safetensors file.

The parts of a matrix are tensors called after it ("w.codes", "w.scales", …); what kind, shape and group it has stands
in the file's metadata, with a checksum of every tensor: a wrong scale would otherwise pass for a right one.
"""

import json
import zlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from math import ceil
from pathlib import Path
from typing import Any, get_args

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from loralab_core.errors import BadInput, explain_os_error
from loralab_core.files import open_atomic
from loralab_core.quant.quantize import GROUPS
from loralab_core.quant.scales import ROWS
from loralab_core.quant.tensor import Kind, QuantTensor
from loralab_core.safetensors_file import DTYPES, stored_tensors

KEY = "loralab_quantized"  # in the metadata
VERSION = 1
NAMES = {dtype: name for name, dtype in DTYPES.items()}

Held = QuantTensor | Tensor


@dataclass(frozen=True)
class _Matrix:
    kind: Kind
    shape: tuple[int, int]
    group: int


@dataclass(frozen=True)
class _About:
    version: int
    matrices: dict[str, _Matrix]
    crc32: dict[str, int]  # of each tensor's bytes


def save_quantized(path: Path, tensors: Mapping[str, Held]) -> None:
    """Write a file that appears whole or not at all, one tensor's bytes beside them at most. Raises OSError."""
    parts = _parts(tensors)
    matrices = {
        name: _Matrix(held.kind, held.shape, held.group)
        for name, held in tensors.items()
        if isinstance(held, QuantTensor)
    }
    sums = {name: zlib.crc32(_bytes(tensor)) for name, tensor in parts.items()}
    header: dict[str, Any] = {"__metadata__": {KEY: json.dumps(asdict(_About(VERSION, matrices, sums)))}}
    at = 0
    for name, tensor in parts.items():
        places = [at, at + tensor.nbytes]
        header[name] = {"dtype": NAMES[tensor.dtype], "shape": list(tensor.shape), "data_offsets": places}
        at += tensor.nbytes
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with open_atomic(path) as file:
        file.write(len(text).to_bytes(8, "little") + text)
        for tensor in parts.values():
            file.write(_bytes(tensor))


def _parts(tensors: Mapping[str, Held]) -> dict[str, Tensor]:
    """Widest numbers first, so that each tensor begins at a multiple of its own."""
    found: dict[str, Tensor] = {}
    for name, held in tensors.items():
        if isinstance(held, QuantTensor):
            found |= {f"{name}.{part}": tensor for part, tensor in held.tensors().items()}
        else:
            found[name] = held
    return dict(sorted(found.items(), key=lambda each: -each[1].dtype.itemsize))


def _bytes(tensor: Tensor) -> memoryview:
    data: Any = tensor.detach().cpu().contiguous().view(-1).view(torch.uint8).numpy()
    return data.data  # type: ignore[no-any-return]


def load_quantized(
    path: Path, device: torch.device | str = "cpu", report: Callable[[int], None] = lambda size: None
) -> dict[str, Held]:
    """What `save_quantized` wrote, read straight into memory of its own; `report` is given the bytes of each tensor.

    Raises BadInput that names the file and the tensor for anything damaged, missing or of another type or shape.
    """
    about = _about(path)
    found: dict[str, Tensor] = {}
    for stored in stored_tensors(path):
        tensor = stored.read()
        if about.crc32.get(stored.name) != zlib.crc32(_bytes(tensor)):
            raise BadInput(f"{path}: {stored.name} is not what was written there; make the file again")
        found[stored.name] = tensor.to(device)
        report(stored.size)
    matrices = {name: _assembled(name, matrix, found, path) for name, matrix in about.matrices.items()}
    if lost := sorted(set(about.crc32) - set(found) - _names(matrices)):
        raise BadInput(f"{path}: {lost[0]} is missing; make the file again")
    return {**matrices, **found}


def _about(path: Path) -> _About:
    try:
        with safe_open(path, framework="pt") as opened:
            said = (opened.metadata() or {}).get(KEY)
        if said is None:
            raise BadInput(f"{path} holds no quantised matrices; `save_quantized` writes such files")
        about = _parsed(said)
    except SafetensorError as error:
        raise BadInput(f"{path} is damaged or cut short ({error}); make it again") from None
    except OSError as error:
        raise BadInput(explain_os_error(error, f"read {path}")) from None
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
        raise BadInput(f"{path}: its metadata is damaged ({error}); make the file again") from None
    if about.version != VERSION:
        raise BadInput(f"{path} is of version {about.version}, this program reads {VERSION}; make the file again")
    return about


def _parsed(said: str) -> _About:
    """Raises one of the errors that reading what one does not know may raise."""
    raw = json.loads(said)
    matrices = {name: _matrix(each["kind"], each["shape"], each["group"]) for name, each in raw["matrices"].items()}
    return _About(_whole(raw["version"]), matrices, {name: _whole(each) for name, each in raw["crc32"].items()})


def _matrix(kind: Kind, shape: Any, group: Any) -> _Matrix:
    out, width = shape
    if kind not in get_args(Kind):
        raise ValueError(f"no quantised form is called {kind!r}")
    return _Matrix(kind, (_whole(out, 1), _whole(width, 1)), _whole(group, 1))


def _whole(value: Any, least: int = 0) -> int:
    if type(value) is not int or value < least:
        raise ValueError(f"{value!r} where a whole number of at least {least} belongs")
    return value


def _names(matrices: Mapping[str, QuantTensor]) -> set[str]:
    return {f"{name}.{part}" for name, matrix in matrices.items() for part in matrix.tensors()}


def _assembled(name: str, matrix: _Matrix, found: dict[str, Tensor], path: Path) -> QuantTensor:
    """Takes the matrix' own parts out of `found`."""
    taken: dict[str, Tensor] = {}
    for part, dtype, shape, optional in _wanted(matrix, f"{path}: {name}"):
        tensor = found.pop(f"{name}.{part}", None)
        if tensor is None:
            if optional:
                continue
            raise BadInput(f"{path}: {name}.{part} is missing; make the file again")
        if (tensor.dtype, tuple(tensor.shape)) != (dtype, shape):
            raise BadInput(
                f"{path}: {name}.{part} is {tensor.dtype} {list(tensor.shape)} where {dtype} {list(shape)} belongs; "
                f"make the file again"
            )
        taken[part] = tensor
    return QuantTensor(matrix.kind, matrix.shape, matrix.group, **taken)


def _wanted(matrix: _Matrix, where: str) -> Iterator[tuple[str, torch.dtype, tuple[int, ...], bool]]:
    """Part, type, shape, and whether it may be absent."""
    out, width = matrix.shape
    if matrix.kind == "int8":
        yield "codes", torch.int8, (out, width), False
        yield "scales", torch.float32, (out,), False
        return
    if matrix.group not in GROUPS:
        raise BadInput(f"{where} has groups of {matrix.group} weights, which are not supported; make the file again")
    groups = ceil(width / matrix.group)
    yield "codes", torch.uint8, (out, groups * matrix.group // 2), False
    yield "scales", torch.uint8, (out, groups), False
    yield "steps", torch.float32, (ceil(out / ROWS), 2), False
    yield "codebook", torch.float32, (16,), False
    yield "zeros", torch.uint8, (out, groups), True
