"""The kernels compiled for the chips that are here, and what each of them takes of a multiprocessor."""

import os
import re
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import torch

from benchmarks.gpu.rows import figure
from benchmarks.gpu.sizes import Sizes
from benchmarks.parts import Row
from loralab_core.errors import LoraLabError
from loralab_core.ops.native.build import require_compiler, say_on_stderr
from loralab_core.ops.native.gpu import library_for, visible_targets
from loralab_core.ops.native.nvcc import CudaCompiler, find_nvcc
from loralab_core.ops.native.sources import Unit


class Resources(NamedTuple):
    """Of one kernel for one chip, as ptxas reports them."""

    kernel: str
    chip: str
    registers: int
    spilled: int  # bytes stored and loaded
    stack: int  # bytes
    shared: int  # bytes that are known when it is compiled


def measure(device: torch.device, sizes: Sizes) -> Iterator[Row]:
    """The targets are those of the GPUs that are here; without one, of the H200's chip: nvcc needs no GPU."""
    targets = visible_targets() if device.type == "cuda" else ("90a",)
    if not targets:
        raise LoraLabError("every chip here is too old for the kernels")
    began = time.perf_counter()
    library = library_for(targets, say_on_stderr)
    seconds = time.perf_counter() - began
    yield figure("compiling, 0 from the cache", seconds, "s", library=library.name, targets=list(targets))
    found = resources(targets)
    yield figure("kernels", len(found), **{f"{each.kernel} sm_{each.chip}": each[2:] for each in found})
    spilling = {each.kernel: each.spilled for each in found if each.spilled}
    yield figure("kernels that spill", len(spilling), must=0, low=True, kernels=spilling)


def resources(targets: Sequence[str]) -> list[Resources]:
    """Of every kernel, by compiling once more: the library's own compilation is silent. Raises LoraLabError."""
    nvcc = find_nvcc()
    if nvcc is None:
        raise LoraLabError("there is no nvcc (CUDA's compiler)")
    compiler = CudaCompiler(nvcc, require_compiler(), tuple(targets))
    kernels = [unit for unit in compiler.units() if unit.file.suffix == ".cu"]
    with tempfile.TemporaryDirectory() as scratch, ThreadPoolExecutor(os.cpu_count()) as pool:
        said = list(pool.map(lambda unit: _report(unit, Path(scratch)), kernels))
    return [each for text in said for each in parse(demangled(text))]


def _report(unit: Unit, scratch: Path) -> str:
    command = [*unit.command(scratch / f"{unit.file.stem}.o"), "-Xptxas", "-v"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise LoraLabError(f"{unit.file.name} does not compile: {(done.stderr.splitlines() or ['no word'])[0]}")
    return done.stdout + done.stderr


def parse(said: str) -> list[Resources]:
    """What `ptxas -v` prints: a line that names a kernel, then lines with its numbers."""
    found = []
    for piece in re.split(r"Compiling entry function ", said)[1:]:
        name, chip = re.match(r"'(.+?)' for 'sm_(\w+)'", piece, re.DOTALL).groups()  # type: ignore[union-attr]
        sizes = ("stack frame", "spill stores", "spill loads")
        stack, *spills = (_number(rf"(\d+) bytes {what}", piece) for what in sizes)
        registers, shared = _number(r"Used (\d+) registers", piece), _number(r"(\d+) bytes smem", piece)
        found.append(Resources(name, chip, registers, sum(spills), stack, shared))
    return found


def _number(pattern: str, text: str) -> int:
    match = re.search(pattern, text)
    return int(match[1]) if match else 0


def demangled(text: str) -> str:
    """As it is where no demangler is installed."""
    tool = shutil.which("cu++filt") or shutil.which("c++filt")
    if tool is None:
        return text
    return subprocess.run([tool], input=text, capture_output=True, text=True, check=False).stdout or text
