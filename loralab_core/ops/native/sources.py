"""What the compiled kernels are made of: sources, instruction sets and their flags, and the compiler that is there."""

import hashlib
import os
import platform
import shutil
import subprocess
import sys
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from loralab_core.hardware.devices import COMPILERS

PACKAGE = Path(__file__).parents[2]  # loralab_core
ABI = "-DTORCH_TARGET_VERSION=0x020a000000000000"  # LibTorch's stable ABI of 2.10: what is built serves later ones too
COMMON = ("-O3", "-std=c++17", "-fopenmp-simd", "-ffp-contract=off", "-fPIC", "-fvisibility=hidden", ABI)

SUFFIXES = (".h", ".cpp", ".cu", ".cuh")

# By machine and by the first word of a file's name; a macro LORALAB_<NAME> says that a set was compiled.
INSTRUCTION_SETS: dict[str, dict[str, tuple[str, ...]]] = {
    "x86_64": {
        "avx2": ("-mavx2", "-mfma", "-mf16c"),
        "avx512": (
            *("-mavx2", "-mfma", "-mf16c", "-mavx512f", "-mavx512bw", "-mavx512dq", "-mavx512vl"),
            *("-mavx512vbmi", "-mavx512vnni", "-mavx512bf16", "-mprefer-vector-width=512"),
        ),
    },
    "aarch64": {"neon": ()},
}


def sources() -> Path:
    """csrc/: inside the package of a wheel, beside it in a checkout."""
    inside = PACKAGE / "csrc"
    return inside if inside.is_dir() else PACKAGE.parent / "csrc"


def machine() -> str:
    found = platform.machine()
    return {"arm64": "aarch64", "AMD64": "x86_64"}.get(found, found)


def find_compiler() -> str | None:
    """CXX where it is set, otherwise the first of the usual ones."""
    return next((path for name in (os.environ.get("CXX"), *COMPILERS) if name and (path := shutil.which(name))), None)


def source_key(room: str = "cpu", how: object = INSTRUCTION_SETS) -> str:
    """Of everything that is compiled for "cpu" or "cuda" and how, whatever compiles it."""
    digest = hashlib.sha256(repr((machine(), COMMON, how)).encode())
    top = sources()
    shared = [*top.glob("*.h"), *(top / "binding").glob("*.h")]
    own = [file for each in (top / room, top / "binding" / room) for file in each.glob("*") if file.suffix in SUFFIXES]
    for path in sorted([*shared, *own]):
        digest.update(path.relative_to(top).as_posix().encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()[:16]


@dataclass(frozen=True)
class Unit:
    """One file to compile, by whom."""

    file: Path
    flags: tuple[str, ...]
    compiler: str

    def command(self, made: Path) -> list[str]:
        return [self.compiler, *self.flags, "-c", str(self.file), "-o", str(made)]


@dataclass(frozen=True)
class Compiler:
    """Of C++, for the processor."""

    path: str
    torch: Path  # the directory of the package
    purpose = "this computer"

    @cached_property
    def version(self) -> str:
        return self._run("--version").stdout.partition("\n")[0]

    def accepts(self, flags: tuple[str, ...]) -> bool:
        return not flags or self._run(*flags, "-E", "-x", "c++", os.devnull).returncode == 0

    def units(self) -> list[Unit]:
        """Every file with its flags; instruction sets that this compiler does not know are left out."""
        known = {name for each in INSTRUCTION_SETS.values() for name in each}
        usable = {name: flags for name, flags in INSTRUCTION_SETS.get(machine(), {}).items() if self.accepts(flags)}
        files = {file: _set_of(file) for file in sorted((sources() / "cpu").glob("*.cpp"))}
        macros = tuple(f"-DLORALAB_{name.upper()}" for name in usable if name in files.values())
        kernels = [
            Unit(file, (*COMMON, *usable.get(name, macros)), self.path)
            for file, name in files.items()
            if name in usable or name not in known
        ]
        return kernels + self.binding("cpu")

    def binding(self, room: str) -> list[Unit]:
        """What registers the operators: compiled against torch."""
        flags = (*COMMON, f"-I{self.torch / 'include'}")
        return [Unit(file, flags, self.path) for file in sorted((sources() / "binding" / room).glob("*.cpp"))]

    def link(self, objects: list[str], made: Path) -> list[str]:
        own = ["-undefined", "dynamic_lookup"] if sys.platform == "darwin" else []
        return [self.path, "-shared", *own, *objects, "-o", str(made), *self.libraries()]

    def libraries(self) -> list[str]:
        return [f"-L{self.torch / 'lib'}", "-ltorch_cpu"]  # found by its name: torch has loaded it by then

    def _run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run([self.path, *arguments], capture_output=True, text=True, check=False)


def _set_of(file: Path) -> str:
    return file.stem.partition("_")[0]
