"""The compiled kernels of this process: found or compiled, loaded, tested, and what of them may be used.

LORALAB_NATIVE=0 leaves them out; LORALAB_ISA=portable|avx2|avx512|neon asks for one instruction set.
"""

import ctypes
import os
import threading
from dataclasses import dataclass
from pathlib import Path

import torch

from loralab_core.errors import LoraLabError, first_line
from loralab_core.ops.native import build, verdict

PATHS = ("rows", "float32", "bf16", "int8")  # as csrc/cpu/kernels.h numbers them
_loading = threading.Lock()
_active: "Native | None" = None


@dataclass(frozen=True)
class Native:
    """What runs. Without compiled kernels `isa` is "reference" and `paths` is empty."""

    isa: str
    paths: tuple[str, ...] = ()  # those that passed their self-test
    library: Path | None = None
    operators: tuple[str, ...] = ()  # of what else there is (check.OTHERS), those that passed theirs
    notes: tuple[str, ...] = ()  # sentences: why there are none, what was switched off

    def __str__(self) -> str:
        """As it is recorded in a run: the name changes with the code."""
        return self.isa if self.library is None else f"{self.isa} {self.library.stem.removeprefix('cpu-')}"


def native(say: build.Say = build.say_on_stderr) -> Native:
    """Loaded at the first call, which may compile for half a minute. Never raises; `say` is told what is amiss."""
    global _active
    if _active is None:
        with _loading:
            if _active is None:
                found = _load(say)
                for note in found.notes:
                    say(note)
                _active = found
    return _active


def _load(say: build.Say) -> Native:
    from loralab_core.ops import quantize
    from loralab_core.ops.native import check  # knows the operator, whose module asks this one for its path

    if os.environ.get("LORALAB_NATIVE") == "0":
        return Native("reference", notes=("compiled kernels are switched off (LORALAB_NATIVE=0)",))
    try:
        path = build.find_built() or build.built_here(say)
        isa = open_library(path, os.environ.get("LORALAB_ISA") or None)
    except (LoraLabError, OSError) as error:
        return _none(first_line(error))
    if died := verdict.of_untried(path, isa):
        return _none(died)
    failed, lost = check.failures(paths := available(path)), check.failures_of_others()
    notes = [f"the {isa} kernels' path {name} is switched off: {why}" for name, why in failed.items()]
    notes += [f"the {isa} kernels' {name} is switched off: {why}" for name, why in lost.items()]
    operators = tuple(name for name in check.OTHERS if name not in lost)
    if "quantize" in operators:
        quantize.use_kernel()
    return Native(isa, tuple(name for name in paths if name not in failed), path, operators, tuple(notes))


def _none(why: str) -> Native:
    return Native("reference", notes=(f"no compiled kernels: {why}; everything runs on PyTorch's own operators",))


def open_library(path: Path, wanted: str | None = None) -> str:
    """Register the library's operators; the instruction set it uses. LoraLabError where `wanted` does not run here."""
    torch.ops.load_library(path)  # type: ignore[no-untyped-call]
    isa = use(path, wanted)
    if isa is None:
        raise LoraLabError(f"LORALAB_ISA={wanted} does not run on this computer, or was not compiled")
    return isa


def use(path: Path, wanted: str | None) -> str | None:
    """Choose an instruction set of the loaded library, by default the best; its name, None where it cannot run."""
    choose = ctypes.CDLL(str(path)).loralab_use
    choose.restype, choose.argtypes = ctypes.c_char_p, [ctypes.c_char_p]
    name: bytes | None = choose(wanted.encode() if wanted else None)
    return name.decode() if name else None


def available(path: Path) -> tuple[str, ...]:
    """The paths that the instruction set in use has."""
    has = ctypes.CDLL(str(path)).loralab_has
    return tuple(name for number, name in enumerate(PATHS) if has(number))
