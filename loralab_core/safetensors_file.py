"""Tensors of a safetensors file, each read straight into its place.

Files are read, not mapped: pages of a mapped file count as memory of this process, so that a model would need twice
its size until the whole file is let go. The library checks the header; only its arithmetic is done here.
"""

import math
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np
import numpy.typing as npt
import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from loralab_core.errors import BadInput, explain_os_error

DTYPES = {
    "F64": torch.float64,
    "F32": torch.float32,
    "F16": torch.float16,
    "BF16": torch.bfloat16,
    "F8_E4M3": torch.float8_e4m3fn,
    "F8_E5M2": torch.float8_e5m2,
    "F8_E8M0": torch.float8_e8m0fnu,
    "I64": torch.int64,
    "I32": torch.int32,
    "I16": torch.int16,
    "I8": torch.int8,
    "U64": torch.uint64,
    "U32": torch.uint32,
    "U16": torch.uint16,
    "U8": torch.uint8,
    "BOOL": torch.bool,
}
SLAB = 1 << 24  # bytes converted at once, always in the same scratch: freed ones are not given back to the system
AT_ONCE = 1 << 30  # bytes: systems read at most 2 GiB in one call


@dataclass(frozen=True)
class StoredTensor:
    """One tensor of an open file. `offset`: bytes from the beginning of the file. `slab`: scratch, uint8 [SLAB]."""

    file: BinaryIO
    name: str
    dtype: torch.dtype
    shape: tuple[int, ...]
    offset: int
    slab: Tensor

    @property
    def size(self) -> int:
        """Bytes in the file."""
        return math.prod(self.shape) * self.dtype.itemsize

    def read(self) -> Tensor:
        """The tensor as it is stored, on the CPU. BadInput where the file has become shorter since it was opened."""
        whole = torch.empty(self.shape, dtype=self.dtype)
        self._fill(whole.view(-1), 0)
        return whole

    def read_into(self, place: Tensor) -> None:
        """Fill a tensor of the same shape, in its own precision and on its own device. Raises as `read` does."""
        if not place.is_contiguous():  # weights that are stored transposed
            place.copy_(self.read())
            return
        flat = place.view(-1)
        if place.dtype == self.dtype and place.device.type == "cpu":
            self._fill(flat, 0)
            return
        slab = self.slab.view(self.dtype)
        for start in range(0, len(flat), len(slab)):
            part = slab[: len(flat) - start]
            self._fill(part, start)
            flat[start : start + len(part)].copy_(part)

    def _fill(self, flat: Tensor, start: int) -> None:
        """Fill [n] from the elements `start` and on."""
        data: npt.NDArray[np.uint8] = flat.detach().view(torch.uint8).numpy()
        left = data.data
        self.file.seek(self.offset + start * self.dtype.itemsize)
        while left:
            count = self.file.readinto(left[:AT_ONCE])  # type: ignore[attr-defined]
            if not count:
                raise BadInput(f"{self.file.name} was cut short while it was read; download it again")
            left = left[count:]


def stored_tensors(path: Path) -> Iterator[StoredTensor]:
    """The tensors of a file in the order they lie in it; each can be read until the next is asked for.

    Raises BadInput when the file is damaged or cannot be read.
    """
    try:
        with safe_open(path, framework="pt") as header, open(path, "rb", buffering=0) as file:
            slab = torch.empty(SLAB, dtype=torch.uint8)
            offset = 8 + int.from_bytes(os.pread(file.fileno(), 8, 0), "little")  # the header begins with its length
            for name in header.offset_keys():
                part = header.get_slice(name)
                if (dtype := DTYPES.get(part.get_dtype())) is None:
                    raise BadInput(f"{path}: {name} is stored as {part.get_dtype()}, which is not supported")
                stored = StoredTensor(file, name, dtype, tuple(part.get_shape()), offset, slab)
                yield stored
                offset += stored.size  # there are no gaps, or the library would have refused the file
    except SafetensorError as error:
        raise BadInput(f"{path} is damaged or cut short ({error}); download it again") from None
    except OSError as error:
        raise BadInput(explain_os_error(error, f"read {path}")) from None


def read_tensors(file: Path, wanted: Callable[[str], bool] = lambda name: True) -> Iterator[tuple[str, Tensor]]:
    """(name, tensor) pairs of the file's wanted tensors, memory-mapped. Raises BadInput when the file is damaged."""
    try:
        with safe_open(file, framework="pt") as opened:
            for name in opened.keys():  # noqa: SIM118 (not a dict)
                if wanted(name):
                    yield name, opened.get_tensor(name)
    except SafetensorError as error:
        raise BadInput(f"{file} is damaged or cut short ({error}); download it again") from None
    except OSError as error:
        raise BadInput(explain_os_error(error, f"read {file}")) from None


def tensor_names(file: Path) -> list[str]:
    """Of the tensors of a file. Raises BadInput when it is damaged."""
    try:
        with safe_open(file, framework="pt") as opened:
            return list(opened.keys())
    except SafetensorError as error:
        raise BadInput(f"{file} is damaged or cut short ({error}); download it again") from None
    except OSError as error:
        raise BadInput(explain_os_error(error, f"read {file}")) from None
