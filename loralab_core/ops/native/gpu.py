"""The compiled kernels for NVIDIA GPUs: compiled for the chips that are here, loaded, tested, and what may be used.

LORALAB_NATIVE=0 leaves them out, LORALAB_PATH asks for one path wherever it can multiply.
"""

import os
import threading
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import torch

from loralab_core.errors import LoraLabError, first_line
from loralab_core.ops.native import build, trial
from loralab_core.ops.native.nvcc import OLDEST, CudaCompiler, find_nvcc, target_of

# Each way of multiplying and the chips it is for, from the oldest compute capability to the newest.
PATHS = {"rows": (OLDEST, (99, 0)), "tiles": (OLDEST, (99, 0)), "gemm": (OLDEST, (99, 0))}
FEW = 16  # rows for which every code is read once
_loading = threading.Lock()


@dataclass(frozen=True)
class NativeGpu:
    """What runs on one GPU. Without compiled kernels `paths` is empty and PyTorch's own operators do everything."""

    target: str  # of nvcc, such as "90a"
    paths: tuple[str, ...] = ()  # those that passed their self-test
    operators: tuple[str, ...] = ()  # and of what else there is
    library: Path | None = None
    notes: tuple[str, ...] = ()  # sentences: why there are none, what was switched off

    def __str__(self) -> str:
        """As it is recorded in a run: the name changes with the code."""
        return f"sm_{self.target} {self.library.stem}" if self.library else "reference"


def native_gpu(number: int, say: build.Say = build.say_on_stderr) -> NativeGpu:
    """For the GPU of this number; the first call may compile. Never raises; `say` is told what is amiss."""
    with _loading:
        return _native_gpu(number, say)


@cache
def _native_gpu(number: int, say: build.Say) -> NativeGpu:
    capability = torch.cuda.get_device_capability(number)
    found = _load(number, capability, say)
    for note in found.notes:
        say(note)
    return found


def _load(number: int, capability: tuple[int, int], say: build.Say) -> NativeGpu:
    name, target = torch.cuda.get_device_name(number), target_of(capability)
    if os.environ.get("LORALAB_NATIVE") == "0":
        return _none(target, name, "they are switched off (LORALAB_NATIVE=0)")
    if capability < OLDEST:
        return _none(target, name, f"its chip is older than sm_{target_of(OLDEST)}")
    try:
        library = library_for(visible_targets(), say)
        torch.ops.load_library(library)  # type: ignore[no-untyped-call]
    except (LoraLabError, OSError) as error:
        return _none(target, name, first_line(error))
    wanted = [path for path, (oldest, newest) in PATHS.items() if oldest <= capability <= newest]
    failed = trial.failures(library, f"cuda:{number}", name, [*wanted, *trial.OPERATORS])
    notes = [f"{name}: the kernels' {each} is switched off: {why}" for each, why in failed.items()]
    paths = tuple(path for path in wanted if path not in failed)
    return NativeGpu(
        target, paths, tuple(each for each in trial.OPERATORS if each not in failed), library, tuple(notes)
    )


def _none(target: str, name: str, why: str) -> NativeGpu:
    return NativeGpu(target, notes=(f"{name}: no compiled kernels: {why}; PyTorch's own operators run there",))


def visible_targets() -> tuple[str, ...]:
    """Of all GPUs that are here and not too old, so that one library serves different kinds."""
    found = {torch.cuda.get_device_capability(number) for number in range(torch.cuda.device_count())}
    return tuple(sorted(target_of(each) for each in found if each >= OLDEST))


def library_for(targets: tuple[str, ...], say: build.Say) -> Path:
    """In the cache, compiled now where it is not there. Raises LoraLabError with a reason in a sentence."""
    nvcc = find_nvcc()
    if nvcc is None:
        raise LoraLabError("there is no nvcc (CUDA's compiler)")
    compiler = CudaCompiler(nvcc, build.require_compiler(), targets)
    return build.build(build.in_cache("cuda", compiler.key(), compiler.version), compiler, say)


def choose_on_gpu(x: torch.Tensor, rounded8: bool, transposed: bool, compute: str) -> str | None:
    """The path for x [rows, …] and a weight, which is int8 where `rounded8`; None: the reference."""
    able = native_gpu(x.device.index).paths
    forced = os.environ.get("LORALAB_PATH")
    if forced in able and can_multiply(forced, x.dtype, rounded8, transposed):
        return forced
    order = ["rows", "gemm"] if x.shape[0] <= FEW else ["gemm"]
    return next((path for path in order if path in able and can_multiply(path, x.dtype, rounded8, transposed)), None)


def can_multiply(path: str, dtype: torch.dtype, rounded8: bool, transposed: bool) -> bool:
    """Whether a path takes x of this type; a weight of 8 bits; the transpose."""
    if path == "gemm":
        return True
    return not rounded8 and dtype != torch.float32 and not (path == "rows" and transposed)
