"""Products in 8 bits are sums of the same integers on every instruction set: only their scaling is rounded."""

import pytest
import torch
from torch import Tensor

from loralab_core.ops.native.library import available, native, use
from loralab_core.ops.quant_matmul import parts
from loralab_core.quant import quantize


@pytest.mark.parametrize("transposed", [False, True])
@pytest.mark.parametrize("kind", ["nf4", "int4", "int8"])
@pytest.mark.parametrize("isa", ["portable", "avx2", "avx512", "neon"])
def test_every_instruction_set_rounds_to_the_same_integers(isa: str, kind: str, transposed: bool) -> None:
    library = native().library
    if library is None:
        pytest.skip("needs compiled kernels")
    generator = torch.Generator().manual_seed(0)
    weight = quantize(torch.randn(130, 300, generator=generator), kind)  # type: ignore[arg-type]
    x = torch.randn(37, 130 if transposed else 300, generator=generator)
    x[:, 7] *= 50

    def product() -> Tensor:
        y: Tensor = torch.ops.loralab.quant_matmul(x, *parts(weight), transposed, None, None, None, "int8")
        return y

    best = product()
    try:
        if use(library, isa) is None or "int8" not in available(library):
            pytest.skip(f"{isa} is not compiled, does not run here or has no such products")
        assert (product() - best).norm() < 1e-5 * best.norm()
    finally:
        use(library, None)
