"""A model that torch.compile has traced gives what it gives without."""

from collections.abc import Iterator

import pytest
import torch
from torch import Tensor, nn

from loralab_core.ops import Compute, Lora, gated, quant_linear
from loralab_core.quant import quantize


class Block(nn.Module):
    """Two quantised projections with something between, and an adapter on each where `rank` is not zero."""

    def __init__(self, kind: str, rank: int, compute: Compute):
        super().__init__()
        generator = torch.Generator().manual_seed(rank)

        def normal(*shape: int) -> Tensor:
            return torch.randn(*shape, generator=generator)

        self.wide, self.narrow = (quantize(normal(*shape) / 8, kind) for shape in ((96, 64), (64, 48)))  # type: ignore[arg-type]
        self.bias = nn.Parameter(normal(96))
        shapes = [(rank, 64), (96, rank), (rank, 48), (64, rank)] if rank else []
        self.adapter = nn.ParameterList(normal(*shape) / 4 for shape in shapes)
        self.compute = compute

    def forward(self, x: Tensor) -> Tensor:
        a1, b1, a2, b2 = self.adapter or (None,) * 4
        first = Lora(a1, b1, 0.5) if self.adapter else None
        second = Lora(a2, b2, 0.5) if self.adapter else None
        left, right = quant_linear(x, self.wide, self.bias, first, self.compute).chunk(2, -1)
        return x + quant_linear(gated(left, right, "silu"), self.narrow, None, second, self.compute)


@pytest.fixture(autouse=True)
def traces_of_its_own() -> Iterator[None]:
    """Torch gives up on what it traced too often in one process."""
    torch.compiler.reset()
    yield
    torch.compiler.reset()


@pytest.mark.parametrize("compute", ["w4a16", "w4a8"])
@pytest.mark.parametrize("rank", [0, 4])
@pytest.mark.parametrize("kind", ["nf4", "int8"])
def test_a_compiled_model_gives_the_same(kind: str, rank: int, compute: Compute) -> None:
    model = Block(kind, rank, compute)
    compiled = torch.compile(model, backend="aot_eager", fullgraph=True)
    x = torch.randn(2, 5, 64, generator=torch.Generator().manual_seed(9), requires_grad=True)
    found = []
    for each in (model, compiled):
        y = each(x)
        found.append([y, *torch.autograd.grad(y.square().sum(), [x, *model.parameters()])])
    with torch.no_grad():
        torch.testing.assert_close(compiled(x), found[0][0])
    for plain, traced in zip(*found, strict=True):
        torch.testing.assert_close(traced, plain)
