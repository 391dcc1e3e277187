"""Compiling csrc/cuda: nvcc for the kernels, the C++ compiler for what registers them."""

import os
import re
import shutil
import subprocess
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

from loralab_core.errors import LoraLabError
from loralab_core.ops.native.sources import Compiler, Unit, source_key, sources

FLAGS = ("-O3", "-std=c++17", "-Xcompiler", "-fPIC,-fvisibility=hidden", "-Xptxas", "-v")
OLDEST = (7, 5)  # compute capability: tensor cores that multiply fp16 with float32 sums, and integers
TARGETS = ("75", "80", "89", "90a", "100", "120")  # every kernel compiles for these
OWN = {"90": "90a"}  # chips with instructions that only their own target has
ONLY = {"hopper": "90a"}  # files whose kernels are for one chip; elsewhere nothing starts them


def find_nvcc() -> str | None:
    """CUDACXX where it is set, then PATH, CUDA_HOME and where CUDA is usually installed."""
    usual = [Path(root) / "bin" / "nvcc" for root in (os.environ.get("CUDA_HOME"), "/usr/local/cuda") if root]
    found = (shutil.which(name) for name in (os.environ.get("CUDACXX"), "nvcc", *map(str, usual)) if name)
    return next((path for path in found if path), None)


def target_of(capability: tuple[int, int]) -> str:
    """The name of a chip's code, as nvcc takes it behind "sm_"."""
    name = "".join(map(str, capability))
    return OWN.get(name, name)


@dataclass(frozen=True)
class CudaCompiler:
    nvcc: str
    host: Compiler
    targets: tuple[str, ...]

    @property
    def purpose(self) -> str:
        return "the GPU" if len(self.targets) == 1 else "the GPUs"

    @cached_property
    def version(self) -> str:
        """Of CUDA, such as "13.0". Raises LoraLabError where nvcc does not run."""
        try:
            said = subprocess.run([self.nvcc, "--version"], capture_output=True, text=True, check=True).stdout
        except (OSError, subprocess.CalledProcessError) as error:
            raise LoraLabError(f"{self.nvcc} does not run") from error
        found = re.search(r"release (\d+\.\d+)", said)
        return found[1] if found else said.strip()

    def key(self) -> str:
        return source_key("cuda", (FLAGS, self.targets))

    def units(self) -> list[Unit]:
        return [self._unit(file) for file in sorted((sources() / "cuda").glob("*.cu"))] + self.host.binding("cuda")

    def _unit(self, file: Path) -> Unit:
        targets = (ONLY[file.stem],) if file.stem in ONLY else self.targets
        chips = (f"-gencode=arch=compute_{target},code=sm_{target}" for target in targets)
        return Unit(file, (*FLAGS, "-ccbin", self.host.path, *chips), self.nvcc)

    def link(self, objects: list[str], made: Path) -> list[str]:
        """CUDA's runtime is linked in: torch's own need not be of the same version."""
        own = ["-shared", "-cudart", "static", "-ccbin", self.host.path]
        return [self.nvcc, *own, *objects, "-o", str(made), *self.host.libraries()]


class Kernel(NamedTuple):
    """What ptxas says of a kernel compiled for a chip."""

    name: str  # as it is linked
    target: str
    registers: int  # of a thread
    spilled: int  # bytes that did not fit in them


def resources(library: Path) -> list[Kernel]:
    """Of all kernels of a library that was compiled here; empty where nothing was written down."""
    try:
        said = library.with_suffix(".txt").read_text()
    except OSError:
        return []
    pattern = r"Compiling entry function '(\w+)' for 'sm_(\w+)'.*?(\d+) bytes spill stores.*?Used (\d+) registers"
    return [
        Kernel(name, target, int(registers), int(spilled))
        for name, target, spilled, registers in re.findall(pattern, said, re.DOTALL)
    ]
