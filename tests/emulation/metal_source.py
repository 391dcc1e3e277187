"""A .metal file as C++: its kernels' signatures read, an entry written for each, the rest as it stands (metal.h)."""

import hashlib
import os
import re
import subprocess
import tempfile
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).parent
PLACE = HERE.parents[1] / "build" / "emulation" / "metal"
CXX = "g++"
FLAGS = ("-std=c++14", "-O1", "-fPIC", "-fsigned-char", "-ffp-contract=off", "-w")
HEADER = '#include "metal.h"\n'
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


class CompileError(SyntaxError):
    """What g++ said of a kernel; torch raises a SyntaxError too."""


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


def built(code: str, *flags: str) -> Path:
    """Compiled together with group.cpp, which no sanitizer may see."""
    tsan = ["-DLORALAB_TSAN"] if "-fsanitize=thread" in flags else []
    group = _made(["-std=c++17", "-O2", "-fPIC", "-c", *tsan, "-x", "c++", "-"], (HERE / "group.cpp").read_text())
    return _made([*FLAGS, *flags, "-x", "c++", "-", "-x", "none", str(group)], code)


def _made(command: list[str], code: str) -> Path:
    """What g++ makes of it, once for all processes that ask for the same."""
    parts = [code, *(path.read_text() for path in sorted(HERE.glob("*.h"))), repr(command)]
    PLACE.mkdir(parents=True, exist_ok=True)
    target = PLACE / (hashlib.sha256("\0".join(parts).encode()).hexdigest()[:24] + ".o")
    if not target.exists():
        with tempfile.TemporaryDirectory(dir=PLACE) as scratch:
            made = Path(scratch) / "made"
            _run([f"-I{HERE}", *command, "-o", str(made)], code)
            os.replace(made, target)
    return target
