"""Run by test_backend.py in a process of its own: the emulated kernels in the place of PyTorch's on the CPU.

Registers them for the CPU's dispatch key, as they are for MPS on a Mac, and trains a layer through them.
"""

import json
from unittest import mock

import torch

from loralab_core.ops import Lora, dequantize, quant_linear
from loralab_core.ops import quant_matmul as products
from loralab_core.ops.metal.launch import Kernels
from loralab_core.ops.metal.library import activate
from loralab_core.ops.quant_matmul import parts
from tests.emulation import metal
from tests.metal.exact import error, exact, matrix, normal

launched: list[str] = []


class Counting(Kernels):
    def run(self, file: str, name: str, *arguments: object, **how: object) -> None:
        launched.append(name)
        super().run(file, name, *arguments, **how)  # type: ignore[arg-type]


def main() -> None:
    active = activate(Counting(metal.compile_shader), torch.device("cpu"), "CPU")
    launched.clear()

    def path_of(x: torch.Tensor, weight: object, transposed: bool, compute: object) -> str | None:
        return active.path(len(x), transposed, x.dtype)

    weight, errors = matrix("nf4", 50, 96, 32), {}
    with mock.patch.object(products, "path_of", path_of):
        for rows in (3, 20):
            errors |= {f"{name} {rows}": value for name, value in trained(weight, rows).items()}
    dense = torch.ops.loralab.dequantize(*parts(weight), 0, 50, 0)
    errors["dense"] = error(dense, exact(weight))
    assert dequantize(weight, torch.float64).dtype == torch.float64
    facts = {"operators": active.operators, "paths": active.paths, "notes": active.notes, "recorded": str(active)}
    print(json.dumps({**facts, "launched": launched, "errors": errors}))


def trained(weight: object, rows: int) -> dict[str, float]:
    """Errors of y and of every gradient of one quant_linear, against autograd in float64."""
    inputs = [normal(rows, 96), normal(4, 96), normal(50, 4, seed=1), normal(50)]
    ours = [each.clone().requires_grad_() for each in inputs]
    theirs = [each.double().requires_grad_() for each in inputs]
    dy = normal(rows, 50, seed=2)
    x, a, b, bias = ours
    y = quant_linear(x, weight, bias, Lora(a, b, 0.5))  # type: ignore[arg-type]
    y.backward(dy)
    x, a, b, bias = theirs
    expected = x @ exact(weight).t() + 0.5 * (x @ a.t()) @ b.t() + bias  # type: ignore[arg-type]
    expected.backward(dy.double())
    gradients = zip(("x", "a", "b", "bias"), ours, theirs, strict=True)
    return {"y": error(y, expected)} | {name: error(one.grad, other.grad) for name, one, other in gradients}  # type: ignore[arg-type]


if __name__ == "__main__":
    main()
