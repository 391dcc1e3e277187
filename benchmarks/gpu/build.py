"""The kernels compiled for the chips that are here, and what each of them takes of a multiprocessor."""

import shutil
import subprocess
import time
from collections.abc import Iterator

import torch

from benchmarks.gpu.rows import figure
from benchmarks.gpu.sizes import Sizes
from benchmarks.parts import Row
from loralab_core.errors import LoraLabError
from loralab_core.ops.native.build import say_on_stderr
from loralab_core.ops.native.gpu import library_for, visible_targets
from loralab_core.ops.native.nvcc import resources


def measure(device: torch.device, sizes: Sizes) -> Iterator[Row]:
    """The targets are those of the GPUs that are here; without one, of the H200's chip: nvcc needs no GPU."""
    targets = visible_targets() if device.type == "cuda" else ("90a",)
    if not targets:
        raise LoraLabError("every chip here is too old for the kernels")
    began = time.perf_counter()
    library = library_for(targets, say_on_stderr)
    seconds = time.perf_counter() - began
    yield figure("compiling, 0 from the cache", seconds, "s", library=library.name, targets=list(targets))
    found = resources(library)
    names = demangled("\n".join(each.name for each in found)).splitlines()
    taken = {f"{name} sm_{each.target}": each[2:] for name, each in zip(names, found, strict=True)}
    yield figure("kernels: registers, spilled bytes", len(found), must=1, **taken)
    spilling = {name: spilled for name, (_, spilled) in taken.items() if spilled}
    yield figure("kernels that spill", len(spilling), must=0, low=True, kernels=spilling)


def demangled(names: str) -> str:
    """As they are where no demangler is installed."""
    tool = shutil.which("cu++filt") or shutil.which("c++filt")
    if tool is None:
        return names
    return subprocess.run([tool], input=names, capture_output=True, text=True, check=False).stdout or names
