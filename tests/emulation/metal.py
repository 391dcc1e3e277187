"""torch.mps.compile_shader for a computer without Metal: the same call, the same kernels, tensors of the CPU.

g++ compiles the very file that Metal would (metal_source.py, metal.h). Arguments are checked more strictly than Metal
checks them: types, sizes, whole groups. What is launched can be kept on a tape, for a program that launches it again
under a sanitizer (replay.h).
"""

import ctypes
import struct
from collections.abc import Collection
from pathlib import Path
from typing import Any, BinaryIO

import torch
from torch import Tensor

from tests.emulation.metal_source import HEADER, Parameter, Signature, built, translated

POINTED = {
    torch.float32: {"float", "uchar"},  # scales of 8 bits come as bytes
    torch.float16: {"half"},
    torch.bfloat16: {"bfloat"},
    torch.uint8: {"uchar"},
    torch.int8: {"uchar", "char"},
    torch.int64: {"long"},
}
OPTIONAL = {"steps", "codebook", "zeros", "left", "right", "bias"}  # stand for any buffer where they are absent
LAUNCH, BUFFER = "<64s7I", "<2Q"  # on a tape: name, number of buffers, groups, threads; bytes, place within 64
GROUP_MEMORY = 32768  # bytes, on every Apple GPU

tape: BinaryIO | None = None  # where launches are kept, if anywhere
order = 0  # in which fibers run: as group.h numbers them


def compile_shader(source: str, only: Collection[str] | None = None, *flags: str) -> "Library":
    """As torch.mps.compile_shader; of some kernels only where that saves time."""
    return Library(*translated(source, only), *flags)


def program(sources: list[str], only: Collection[str] | None, *flags: str) -> Path:
    """One that launches again what was kept on a tape; each source in a namespace of its own."""
    pieces, names = [HEADER], []
    for number, source in enumerate(sources):
        code, signatures = translated(source, only)
        pieces.append(f"namespace source_{number} {{\n{code}\n}}\n")
        names += [(each.name, f"source_{number}::launch_{each.name}") for each in signatures]
    entries = "".join(f'{{"{name}", {launch}}},\n' for name, launch in names)
    pieces.append(f'#include "replay.h"\nconst Entry kernels[] = {{\n{entries}{{nullptr, nullptr}}}};\n')
    return built("".join(pieces), *flags)


class Library:
    def __init__(self, code: str, signatures: list[Signature], *flags: str) -> None:
        self._signatures = {each.name: each for each in signatures}
        self._loaded = ctypes.CDLL(str(built(HEADER + code, "-shared", *flags)))

    def __dir__(self) -> list[str]:
        return list(self._signatures)

    def __getattr__(self, name: str) -> "Kernel":
        if name not in self._signatures:
            raise AttributeError(f"there is no kernel {name}")
        return Kernel(self._signatures[name], self._loaded)


class Kernel:
    max_threads_per_threadgroup = 1024
    thread_execution_width = 32

    def __init__(self, signature: Signature, loaded: ctypes.CDLL) -> None:
        self.signature, self._loaded = signature, loaded
        sizes = (ctypes.c_ulong * (len(signature.buffers) + 1)).in_dll(loaded, f"sizes_{signature.name}")
        *self._sizes, self.static_thread_group_memory_length = sizes
        if self.static_thread_group_memory_length > GROUP_MEMORY:
            raise RuntimeError(
                f"{signature.name} wants {self.static_thread_group_memory_length} bytes of a group's memory"
            )

    def __call__(
        self, *arguments: Any, threads: list[int], group_size: list[int], arg_casts: dict[int, str] | str | None = None
    ) -> None:
        wanted = self.signature.buffers
        if len(arguments) != len(wanted):
            raise TypeError(f"{self.signature.name} has {len(wanted)} buffers, not {len(arguments)}")
        assert len(threads) == len(group_size) <= 3 and all(
            n % size == 0 for n, size in zip(threads, group_size, strict=True)
        )
        if torch.Size(group_size).numel() > self.max_threads_per_threadgroup:
            raise ValueError("Threadgroup size exceeds 1024 limit")
        kept: list[Any] = []
        for i, (each, parameter) in enumerate(zip(arguments, wanted, strict=True)):
            cast = arg_casts.get(i, "") if isinstance(arg_casts, dict) else arg_casts or ""
            kept.append(
                self._tensor(each, parameter) if isinstance(each, Tensor) else self._bytes(each, parameter, i, cast)
            )
        pointers = [each.data_ptr() if isinstance(each, Tensor) else ctypes.addressof(each) for each in kept]
        groups = [n // size for n, size in zip(threads, group_size, strict=True)]
        shape = [[*each, 1, 1][:3] for each in (groups, list(group_size))]
        if tape:
            tape.write(struct.pack(LAUNCH, self.signature.name.encode(), len(kept), *shape[0], *shape[1]))
            for each, at in zip(kept, pointers, strict=True):
                content = _content(each)
                tape.write(struct.pack(BUFFER, len(content), at % 64) + content)
        launch = getattr(self._loaded, f"launch_{self.signature.name}")
        launch(
            (ctypes.c_void_p * len(pointers))(*pointers),
            *((ctypes.c_uint * 3)(*each) for each in shape),
            ctypes.c_ulong(order),
        )

    def _tensor(self, tensor: Tensor, parameter: Parameter) -> Tensor:
        if parameter.type not in POINTED[tensor.dtype] and parameter.name not in OPTIONAL:
            raise TypeError(f"{self.signature.name}: {parameter.name} is {parameter.type}*, not {tensor.dtype}")
        return tensor

    def _bytes(self, value: Any, parameter: Parameter, number: int, cast: str) -> Any:
        numbers = value if isinstance(value, (list, tuple)) else [value]
        if not numbers:
            raise RuntimeError("Empty list/tuple can not be an argument to metal kernel")
        if isinstance(numbers[0], float):
            kind = ctypes.c_float
        else:
            kind = {"": ctypes.c_int64, "int32": ctypes.c_int32}[cast]
        made = (kind * len(numbers))(*numbers)
        if parameter.kind != "&" or ctypes.sizeof(made) != self._sizes[number]:
            raise TypeError(
                f"{self.signature.name}: {parameter.name} has {self._sizes[number]} bytes, given {ctypes.sizeof(made)}"
            )
        return made


def _content(argument: Any) -> bytes:
    """From its first byte to its last, gaps between rows of a strided tensor included."""
    if not isinstance(argument, Tensor):
        return bytes(argument)
    if not argument.numel():
        return b""
    last = sum((size - 1) * stride for size, stride in zip(argument.shape, argument.stride(), strict=True))
    return ctypes.string_at(argument.data_ptr(), (last + 1) * argument.itemsize)
