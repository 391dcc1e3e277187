"""The self-test: every path against the reference, on shapes that fill no tile. Takes some milliseconds."""

from collections.abc import Iterable, Iterator

import torch
from torch import Tensor

from loralab_core.errors import first_line
from loralab_core.ops.quant_matmul import parts, reference
from loralab_core.quant import QuantTensor, quantize
from loralab_core.quant.codebooks import CODEBOOKS
from loralab_core.quant.quantize import reference as rounded

OUT, WIDTH, EXTRA = 53, 101, 5
FEW, MANY = 3, 37
ELEMENTS = 600
# of the norm of the product: what a type rounds to, with room; a wrong sum is off by far more
TOLERANCE = {"rows": 1e-5, "float32": 1e-5, "bf16": 0.01, "int8": 0.03}
BF16 = 0.01  # of y, where x is bf16


def failures(paths: Iterable[str]) -> dict[str, str]:
    """What is wrong with each path that does not agree, by name."""
    cases = list(_cases())
    return {path: why for path in paths if (why := _failure(path, cases))}


def failures_of_others() -> dict[str, str]:
    """The same of OTHERS, whose codes must be the references' own."""
    found = {}
    for name, work in OTHERS.items():
        try:
            if not work():
                found[name] = "its codes are not those of the reference"
        except RuntimeError as raised:
            found[name] = first_line(raised)
    return found


def _quantises() -> bool:
    (dense,) = _normal((OUT, WIDTH))
    how = (64, CODEBOOKS["nf4"], False, False)
    pairs = zip(torch.ops.loralab.quantize(dense, *how), rounded(dense, *how), strict=True)
    return all(torch.equal(ours, theirs) for ours, theirs in list(pairs)[:3])


def _steps() -> bool:
    from loralab_core.ops import adam8bit

    step, states = adam8bit.adam_step(1e-3, (0.9, 0.999), 1e-8, 0.0, 1, 7), []
    for by in (adam8bit.by_kernel, adam8bit.by_torch):
        parameter, gradient = _normal((ELEMENTS,), (ELEMENTS,))
        state = {name: torch.zeros(ELEMENTS, dtype=torch.uint8) for name in ("exp_avg", "exp_avg_sq")}
        state |= {f"{name}_scale": torch.zeros(-(-ELEMENTS // 256)) for name in tuple(state)}
        by(parameter, gradient, state, step)
        states.append(state)
    return all(torch.equal(states[0][name], states[1][name]) for name in states[0])


OTHERS = {"quantize": _quantises, "adam8bit": _steps}


def _cases() -> Iterator[tuple[QuantTensor, int, bool, torch.dtype]]:
    """Weight, rows of x, whether transposed, type of x: every weight both ways, the commonest in both types."""
    dense = torch.randn(OUT, WIDTH, generator=torch.Generator().manual_seed(0))
    nf4 = quantize(dense, "nf4", 32)
    for transposed in (False, True):
        yield nf4, MANY, transposed, torch.float32
        yield nf4, FEW, transposed, torch.bfloat16
        yield quantize(dense, "int4", 64, zero_points=True), FEW, transposed, torch.float32
        yield quantize(dense, "int8"), MANY, transposed, torch.bfloat16


def _failure(path: str, cases: list[tuple[QuantTensor, int, bool, torch.dtype]]) -> str:
    worst = 0.0
    for weight, rows, transposed, dtype in cases:
        try:
            error = _error(path, weight, rows, transposed, dtype)
        except RuntimeError as raised:
            return first_line(raised)
        allowed = max(TOLERANCE[path], BF16 if dtype == torch.bfloat16 else 0)
        worst = max(worst, error / allowed) if error == error else float("inf")
    return f"it is off by {worst:.1f} times what rounding explains" if worst > 1 else ""


def _error(path: str, weight: QuantTensor, rows: int, transposed: bool, dtype: torch.dtype) -> float:
    """Of y, relative."""
    inner, columns = (OUT, WIDTH) if transposed else (WIDTH, OUT)
    x, left, right, bias = _normal((rows, inner), (rows, EXTRA), (columns, EXTRA), (columns,))
    x = x.to(dtype)
    y = torch.ops.loralab.quant_matmul(x, *parts(weight), transposed, left, right, bias, path)
    expected = reference(x.float(), weight, transposed, left, right, bias)
    return float((y.float() - expected).norm() / expected.norm())


def _normal(*shapes: tuple[int, ...]) -> list[Tensor]:
    generator = torch.Generator().manual_seed(1)
    return [torch.randn(shape, generator=generator) for shape in shapes]
