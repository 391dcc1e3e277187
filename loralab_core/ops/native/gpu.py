"""The compiled kernels for NVIDIA GPUs: compiled for the chips that are here, loaded, tested, and what may be used.

LORALAB_NATIVE=0 leaves them out.
"""

import os
import threading
from dataclasses import dataclass
from pathlib import Path

import torch

from loralab_core.errors import LoraLabError, first_line
from loralab_core.ops.native import build, trial
from loralab_core.ops.native.nvcc import OLDEST, CudaCompiler, find_nvcc, target_of

# Each way of multiplying and the chips it is for, from the oldest compute capability to the newest.
ANY, HOPPER = (99, 0), (9, 0)
PATHS = {
    "rows": (OLDEST, ANY),
    "tiles": (OLDEST, ANY),
    "hopper": (HOPPER, HOPPER),
    "gemm": (OLDEST, ANY),
    "int8": (OLDEST, ANY),
    "fp8": ((8, 9), ANY),
}
BF16 = (8, 0)  # from here on there are products of bf16
_loading = threading.Lock()
_found: dict[int, "NativeGpu"] = {}  # by the number of the GPU


@dataclass(frozen=True)
class NativeGpu:
    """What runs on one GPU. Without compiled kernels `paths` is empty and PyTorch's own operators do everything."""

    name: str
    target: str  # of nvcc, such as "90a"
    capability: tuple[int, int]
    paths: tuple[str, ...] = ()  # those that passed their self-test
    operators: tuple[str, ...] = ()  # and of what else there is
    library: Path | None = None
    notes: tuple[str, ...] = ()  # sentences: why there are none, what was switched off

    def __str__(self) -> str:
        """As it is recorded in a run: the name changes with the code."""
        return f"sm_{self.target} {self.library.stem}" if self.library else "reference"


def native_gpu(number: int, say: build.Say = build.say_on_stderr, compiling: build.Say | None = None) -> NativeGpu:
    """For the GPU of this number; the first call may compile. Never raises.

    `say` is told what is amiss, and what compiling takes where `compiling` is not.
    """
    if number not in _found:  # asked by every operator: no lock once it is known
        with _loading:
            if number not in _found:
                found = _load(number, torch.cuda.get_device_capability(number), compiling or say)
                for note in found.notes:
                    say(note)
                _found[number] = found
    return _found[number]


def _load(number: int, capability: tuple[int, int], say: build.Say) -> NativeGpu:
    name = torch.cuda.get_device_name(number)
    if os.environ.get("LORALAB_NATIVE") == "0":
        return _none(capability, name, "they are switched off (LORALAB_NATIVE=0)")
    if capability < OLDEST:
        return _none(capability, name, f"its chip is older than sm_{target_of(OLDEST)}")
    try:
        library = library_for(visible_targets(), say)
        torch.ops.load_library(library)  # type: ignore[no-untyped-call]
    except (LoraLabError, OSError) as error:
        return _none(capability, name, first_line(error))
    wanted = [path for path, (oldest, newest) in PATHS.items() if oldest <= capability <= newest]
    failed = trial.failures(library, f"cuda:{number}", name, [*wanted, *trial.OPERATORS])
    if len(failed) == len(wanted) + len(trial.OPERATORS):
        return _none(capability, name, "; ".join(sorted(set(failed.values()))))  # as of a driver that is too old
    paths = tuple(path for path in wanted if path not in failed)
    operators = tuple(each for each in trial.OPERATORS if each not in failed)
    return NativeGpu(name, target_of(capability), capability, paths, operators, library, _switched_off(name, failed))


def _switched_off(name: str, failed: dict[str, str]) -> tuple[str, ...]:
    """A line for each reason."""
    reasons = dict.fromkeys(failed.values())
    alike = {why: [each for each, own in failed.items() if own == why] for why in reasons}
    return tuple(f"{name}: switched off of the kernels: {', '.join(each)}: {why}" for why, each in alike.items())


def _none(capability: tuple[int, int], name: str, why: str) -> NativeGpu:
    return NativeGpu(
        name,
        target_of(capability),
        capability,
        notes=(f"{name}: no compiled kernels: {why}; PyTorch's own operators run there",),
    )


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
