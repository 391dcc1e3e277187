"""The Metal kernels of this process: compiled, tested and registered; what failed its test stays PyTorch's.

LORALAB_NATIVE=0 leaves them out, as it does the compiled ones for CPUs.
"""

import hashlib
import os
import threading
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import torch

from loralab_core.ops.library import LIBRARY
from loralab_core.ops.metal import elementwise, products, states
from loralab_core.ops.metal.dequantize import dequantize
from loralab_core.ops.metal.launch import NAMES, Kernels
from loralab_core.ops.metal.source import FILES, source
from loralab_core.ops.native.build import Say, say_on_stderr

OPERATORS: dict[str, Callable[..., object]] = {  # by their names in torch.ops.loralab
    "quant_matmul": products.quant_matmul,
    "dequantize": dequantize,
    "adam8bit_": states.adam8bit,
    "rms_norm": elementwise.rms_norm,
    "rms_norm_backward": elementwise.rms_norm_backward,
    "rotary": elementwise.rotary,
    "gated": elementwise.gated,
    "gated_backward": elementwise.gated_backward,
    "softmax_loss_": elementwise.softmax_loss,
}
OTHERWISE = "everything runs on PyTorch's own operators"
_loading = threading.Lock()
_active: "Metal | None" = None


@dataclass(frozen=True)
class Metal:
    """What runs. Without kernels both are empty."""

    operators: tuple[str, ...] = ()  # of OPERATORS, those that passed their self-test and are registered
    paths: tuple[str, ...] = ()  # of quant_matmul, those that passed theirs
    notes: tuple[str, ...] = ()  # sentences: why there are none, what was switched off

    def path(self, rows: int, transposed: bool, dtype: torch.dtype) -> str | None:
        """What multiplies x [rows, …]; None where the reference does."""
        if dtype not in NAMES or not rows:
            return None
        wanted = (products.choose(rows, transposed), "tiles", "gemm")
        return next((path for path in wanted if path in self.paths), None)

    def __str__(self) -> str:
        """As it is recorded in a run: the name changes with the code."""
        return f"metal {_key()}" if self.operators else "reference"


def metal(say: Say = say_on_stderr) -> Metal:
    """Compiled at the first call, in some seconds. Never raises; `say` is told what is amiss."""
    global _active
    if _active is None:
        with _loading:
            if _active is None:
                found = _load()
                for note in found.notes:
                    say(note)
                _active = found
    return _active


def is_here() -> bool:
    """Whether there is a GPU of Apple's that torch drives."""
    return torch.backends.mps.is_available()


def _load() -> Metal:
    if os.environ.get("LORALAB_NATIVE") == "0":
        return Metal(notes=("Metal kernels are switched off (LORALAB_NATIVE=0)",))
    if not is_here():
        return Metal(notes=(f"no Metal kernels: torch drives no GPU of Apple's here; {OTHERWISE}",))
    compile_shader = getattr(torch.mps, "compile_shader", None)
    if compile_shader is None:
        why = f"torch {torch.__version__} has no torch.mps.compile_shader"
        return Metal(notes=(f"no Metal kernels: {why}; {OTHERWISE}",))
    return activate(Kernels(compile_shader), torch.device("mps"), "MPS")


def activate(kernels: Kernels, device: torch.device, key: str) -> Metal:
    """Test every kernel on `device` and register what passed, for PyTorch's dispatch key."""
    from loralab_core.ops.metal import check  # knows the operators, whose modules ask this one for their kernels

    failed = check.failures(kernels, device)
    notes = tuple(f"Metal's {name} is switched off: {why}" for name, why in failed.items())
    paths = tuple(name for name in products.PATHS if name not in failed)
    able = [name for name in OPERATORS if name not in failed and (name != "quant_matmul" or paths)]
    for name in able:
        if _is_defined(name):
            LIBRARY.impl(name, partial(OPERATORS[name], kernels), key)  # type: ignore[no-untyped-call]
    return Metal(tuple(able), paths, notes)


def _is_defined(name: str) -> bool:
    return hasattr(torch.ops.loralab, name)


def _key() -> str:
    text = "\0".join(source(name) for name in FILES)
    return hashlib.sha256(text.encode()).hexdigest()[:16]
