"""The self-test of the kernels for GPUs, in a process of its own: one that reads where it must not ends that one.

What did not pass is kept beside the library for this GPU, so that the trial is made once.
"""

import json
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from loralab_core.errors import first_line
from loralab_core.ops.native.verdict import keep, place
from loralab_core.quant import QuantTensor, quantize

PATIENCE_S = 300
FUSED = (
    *("rms_norm", "rms_norm_backward", "rotary", "gated", "gated_backward", "gated_halves_backward"),
    *("softmax_loss_", "adam8bit_many_"),
)
OPERATORS = ("dequantize", *FUSED)
TRY = f"import sys; from {__name__} import main; main(*sys.argv[1:])"
OUT, WIDTH, EXTRA = 83, 208, 5  # fill no tile; a multiple of 16, which fp8 needs of columns
# of the norm of the product: what a type rounds to, with room; a wrong sum is off by far more
TOLERANCE = {torch.float32: 1e-5, torch.float16: 2e-3, torch.bfloat16: 0.012}
COARSE = {"int8": 0.03, "fp8": 0.08}


def failures(library: Path, device: str, name: str, wanted: Sequence[str]) -> dict[str, str]:
    """Which of the paths and operators did not pass on this GPU, each with a sentence's part that says why."""
    kept = place(library, "".join(letter if letter.isalnum() else "-" for letter in name), "trial.json")
    try:
        found: dict[str, str] = json.loads(kept.read_text())
    except (OSError, ValueError):
        found = {}
    if missing := [each for each in wanted if each not in found]:
        found |= _try(library, device, missing)
        keep(kept, json.dumps(found).encode())
    return {each: found[each] for each in wanted if found[each]}


def _try(library: Path, device: str, names: Sequence[str]) -> dict[str, str]:
    """By name: empty where it passed. One that ends its process is left out of the next."""
    found: dict[str, str] = {}
    while left := [name for name in names if name not in found]:
        command = [sys.executable, "-c", TRY, str(library), device, *left]
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE_S, check=False)
            said, ending = done.stdout, (done.stderr.strip().splitlines() or [f"status {done.returncode}"])[-1]
        except subprocess.TimeoutExpired as late:
            said, ending = (late.stdout or b"").decode(), "it did not end"
        except OSError as error:
            return found | dict.fromkeys(left, first_line(error))
        found |= dict(line.split("\t", 1) for line in said.splitlines() if "\t" in line)
        if now := next((name for name in left if name not in found), None):
            found[now] = f"its self-test ended the process ({ending})"
    return found


def main(library: str, device: str, *names: str) -> None:
    """Prints a line for each as soon as it is known: the name, a tab, and what is wrong with it."""
    torch.ops.load_library(library)  # type: ignore[no-untyped-call]
    for name in names:
        print(name, wrong(name, torch.device(device)), sep="\t", flush=True)


def wrong(name: str, device: torch.device) -> str:
    try:
        worst = max(_errors(name, device))
    except RuntimeError as raised:
        return first_line(raised)
    return "" if worst <= 1 else f"it is off by {worst:.1f} times what rounding explains"


def _errors(name: str, device: torch.device) -> Iterator[float]:
    """As shares of what is allowed."""
    if name in FUSED:
        from loralab_core.ops.native.trial_fused import errors

        return errors(name, device)
    return _dequantize(device) if name == "dequantize" else _path(name, device)


class Case(NamedTuple):
    weight: QuantTensor
    rows: int
    transposed: bool
    dtype: torch.dtype


def _dequantize(device: torch.device) -> Iterator[float]:
    from loralab_core.ops.dequantize import ELEMENTS
    from loralab_core.ops.quant_matmul import parts

    for weight in _weights(device):
        for number, dtype in enumerate(ELEMENTS):
            dense = torch.ops.loralab.dequantize(*parts(weight), 16, OUT, number)
            yield error(dense, weight.dequantize(torch.float64)[16:]) / TOLERANCE[dtype]


def _path(path: str, device: torch.device) -> Iterator[float]:
    from loralab_core.ops.quant_matmul import parts

    for weight, rows, transposed, dtype in _cases(path, device):
        inner, columns = (OUT, WIDTH) if transposed else (WIDTH, OUT)
        x, left, right, bias = (
            torch.randn(shape, device=device) for shape in ((rows, inner), (rows, EXTRA), (columns, EXTRA), (columns,))
        )
        x, dense = x.to(dtype), weight.dequantize(torch.float64)
        if path == "fp8":
            bias.zero_()
        y = torch.ops.loralab.quant_matmul(
            x, *parts(weight), transposed, left, right, bias if path != "fp8" else None, path
        )
        exact = x.double() @ (dense if transposed else dense.t()) + left.double() @ right.double().t() + bias
        yield error(y, exact) / max(TOLERANCE[dtype], COARSE.get(path, 0))


def _cases(path: str, device: torch.device) -> Iterator[Case]:
    from loralab_core.ops.native.choice_gpu import can_multiply

    capability = torch.cuda.get_device_capability(device)
    for weight in _weights(device):
        for dtype in TOLERANCE:
            for transposed in (False, True):
                columns = weight.shape[1 if transposed else 0]
                if can_multiply(path, dtype, weight.codebook is None, columns, transposed, capability):
                    yield from (Case(weight, rows, transposed, dtype) for rows in (3, 37))


def _weights(device: torch.device) -> list[QuantTensor]:
    dense = torch.randn(OUT, WIDTH, device=device)
    return [
        quantize(dense, "nf4", 64),
        quantize(dense, "nf4", 32),
        quantize(dense, "int4", 128, zero_points=True),
        quantize(dense, "int8"),
    ]


def error(y: Tensor, exact: Tensor) -> float:
    """NaN, such as of what nobody wrote, is infinitely wrong."""
    error = float((y.double() - exact).norm() / exact.norm())
    return error if error == error else float("inf")
