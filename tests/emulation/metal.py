"""torch.mps.compile_shader for a computer without Metal: the same call, the same kernels, tensors of the CPU.

A .metal file goes through the preprocessor, each kernel's signature is read, and g++ compiles the rest as it stands
against metal.h. Arguments are checked more strictly than Metal checks them: types, sizes, whole groups. What is
launched can be kept on a tape, for a program that launches it again under a sanitizer (replay.h).
"""

import ctypes
import hashlib
import os
import re
import struct
import subprocess
import tempfile
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import torch
from torch import Tensor

HERE = Path(__file__).parent
CXX = "g++"
WARNINGS = ("-Wall", "-Wextra", "-Werror", "-Wno-attributes", "-Wno-unknown-pragmas", "-Wno-unused-function")
FLAGS = ("-std=c++14", "-O1", "-fPIC", "-fsigned-char", "-ffp-contract=off", *WARNINGS)
HEADER = '#include "metal.h"\n'
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
KERNEL = re.compile(r"\bkernel\s+void\s+(\w+)\s*\(")
SHARED = re.compile(r"\bthreadgroup\s+(\w+)\s+(\w+)\s*\[([^\]]+)\]\s*;")
PARAMETER = re.compile(
    r"(?P<type>.+?)\s*(?P<kind>[*&]?)\s*(?P<name>\w+)\s*\[\[(?P<what>\w+)(?:\((?P<number>\d+)\))?\]\]", re.S
)


@dataclass(frozen=True)
class Parameter:
    type: str  # without address space
    kind: str  # "*", "&" or "" of what is not a buffer
    name: str
    what: str

    def value(self, buffer: int) -> str:
        """As the entry passes it."""
        if self.kind:
            return f"{'*' if self.kind == '&' else ''}({self.type}*)buffers[{buffer}]"
        return f"place::{self.what}()"


@dataclass(frozen=True)
class Signature:
    name: str
    parameters: tuple[Parameter, ...]

    @property
    def buffers(self) -> list[Parameter]:
        return [each for each in self.parameters if each.kind]


class CompileError(Exception):
    """What g++ said of a kernel."""


def compile_shader(source: str, only: Collection[str] | None = None, *flags: str) -> "Library":
    """As torch.mps.compile_shader; of some kernels only where that saves time."""
    return Library(*translated(source, only), *flags)


def translated(source: str, only: Collection[str] | None = None) -> tuple[str, list[Signature]]:
    """C++ with an entry `launch_<kernel>` for each kernel, or for those in `only`, and their signatures."""
    text = re.sub(r"^#include <metal_\w+>$|^#pragma METAL.*$", "", source, flags=re.MULTILINE)
    plain = _run(["-E", "-P", "-D__METAL_VERSION__=310", "-x", "c++", "-"], text)
    pieces, signatures, end = [], [], 0
    for found in KERNEL.finditer(plain):
        close = _closing(plain, found.end() - 1)
        last = _closing(plain, plain.index("{", close))
        pieces.append(plain[end : found.start()])
        end = last + 1
        if only is None or found[1] in only:
            signatures.append(Signature(found[1], _parameters(plain[found.end() : close])))
            pieces.append(_entry(signatures[-1], plain[found.end() : close], plain[close + 1 : end]))
    return "\n".join([*pieces, plain[end:]]), signatures


def _closing(text: str, start: int) -> int:
    """Where the bracket at `start` is closed."""
    depth = 0
    for at in range(start, len(text)):
        depth += (text[at] in "({[") - (text[at] in ")}]")
        if not depth:
            return at
    raise CompileError("a bracket is never closed")


def _parameters(text: str) -> tuple[Parameter, ...]:
    found = []
    for each in re.split(r",(?![^\[]*\]\])", text):
        match = PARAMETER.fullmatch(each.strip())
        if match is None:
            raise CompileError(f"a kernel's parameter is not understood: {each.strip()}")
        words = [word for word in match["type"].split() if word not in ("device", "constant", "threadgroup")]
        buffers = sum(bool(other.kind) for other in found)
        if match["what"] == "buffer" and int(match["number"]) != buffers:
            raise CompileError(f"{match['name']} is buffer {match['number']}, but it is the argument {buffers}")
        if (match["what"] == "buffer") != bool(match["kind"]):
            raise CompileError(f"{match['name']} is neither a buffer nor a place")
        found.append(
            Parameter(" ".join(word for word in words if word != "const"), match["kind"], match["name"], match["what"])
        )
    return tuple(found)


def _entry(signature: Signature, parameters: str, body: str) -> str:
    """The kernel as a function, its arrays of the group in a struct, and what Python calls."""
    name, arrays = signature.name, SHARED.findall(body)
    fields = "".join(f"alignas(16) {kind} {array}[{size}]; " for kind, array, size in arrays)
    body = SHARED.sub(
        lambda found: f"auto& {found[2]} = static_cast<shared_{name}*>(emulation::shared())->{found[2]};", body
    )
    buffers, values = iter(range(31)), []
    for each in signature.parameters:
        values.append(each.value(next(buffers) if each.kind else 0))
    sizes = ", ".join(f"sizeof({each.type})" if each.kind == "&" else "0" for each in signature.buffers)
    return f"""
struct shared_{name} {{ {fields}}};
static void {name}({parameters}) {body}
extern "C" const unsigned long sizes_{name}[] = {{{sizes}, sizeof(shared_{name})}};
extern "C" void launch_{name}(void** buffers, const unsigned* groups, const unsigned* threads, unsigned long order) {{
    emulation::set_order(order);
    emulation::run({{groups[0], groups[1], groups[2]}}, {{threads[0], threads[1], threads[2]}}, sizeof(shared_{name}),
                   [&] {{ {name}({", ".join(values)}); }});
}}
"""


def _run(arguments: list[str], text: str | None = None) -> str:
    done = subprocess.run([CXX, *arguments], input=text, capture_output=True, text=True, check=False)
    if done.returncode:
        raise CompileError(done.stderr[:3000])
    return done.stdout


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


def built(code: str, *flags: str) -> Path:
    """Compiled together with group.cpp, which no sanitizer may see."""
    tsan = ["-DLORALAB_TSAN"] if "-fsanitize=thread" in flags else []
    group = _made(["-std=c++17", "-O2", "-fPIC", "-c", *tsan, "-x", "c++", "-"], (HERE / "group.cpp").read_text())
    return _made([*FLAGS, *flags, "-x", "c++", "-", "-x", "none", str(group)], code)


def _made(command: list[str], code: str) -> Path:
    """What g++ makes of it, once for all processes that ask for the same."""
    parts = [code, *(path.read_text() for path in sorted(HERE.glob("*.h"))), repr(command)]
    directory = Path(tempfile.gettempdir()) / f"loralab-emulation-{os.getuid()}"
    directory.mkdir(mode=0o700, exist_ok=True)
    target = directory / (hashlib.sha256("\0".join(parts).encode()).hexdigest()[:24] + ".o")
    if not target.exists():
        with tempfile.TemporaryDirectory(dir=directory) as scratch:
            made = Path(scratch) / "made"
            _run([f"-I{HERE}", *command, "-o", str(made)], code)
            os.replace(made, target)
    return target


tape: BinaryIO | None = None  # where launches are kept, if anywhere
order = 0  # in which fibers run: as group.h numbers them


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
