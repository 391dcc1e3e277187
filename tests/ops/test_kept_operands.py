"""What an answer's products take of an adapter is made once, and is what every product would make."""

from collections.abc import Sequence
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from loralab_core.ops import Lora, quant_linears
from loralab_core.ops.quant_linear import quant_linear
from loralab_core.quant import quantize

WIDTH, SIZES = 64, (32, 16, 16)


def drawn(*shape: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(sum(shape)))


def loras_of(which: Sequence[bool]) -> list[Lora | None]:
    """Of ranks 2, 3, 4 where there is one."""
    return [
        Lora(drawn(rank, WIDTH), drawn(size, rank), 0.5 * rank, kept={}) if there else None
        for rank, (size, there) in enumerate(zip(SIZES, which, strict=True), 2)
    ]


@pytest.mark.parametrize("which", [(True, True, True), (False, True, True), (True, False, False)])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@torch.no_grad()
def test_products_are_the_same_to_the_bit(which: tuple[bool, ...], dtype: torch.dtype) -> None:
    weight, x, bias = quantize(drawn(sum(SIZES), WIDTH), "nf4"), drawn(2, 3, WIDTH).to(dtype), drawn(sum(SIZES))
    loras = loras_of(which)
    plain = [lora and replace(lora, kept=None) for lora in loras]
    expected = quant_linears(x, weight, SIZES, bias, plain)
    for _ in range(2):
        assert torch.equal(quant_linears(x, weight, SIZES, bias, loras), expected)
    first = next(lora for lora in loras if lora)
    assert first.kept is not None and list(first.kept) == [len(SIZES)]


@torch.no_grad()
def test_one_projection_beside_several_has_operands_of_its_own() -> None:
    weight, x = quantize(drawn(sum(SIZES), WIDTH), "nf4"), drawn(3, WIDTH)
    loras, own = loras_of((True, True, True)), quantize(drawn(SIZES[0], WIDTH), "nf4")
    quant_linears(x, weight, SIZES, None, loras)
    first = loras[0]
    assert first is not None
    alone = quant_linear(x, own, None, first)
    assert torch.equal(alone, quant_linear(x, own, None, replace(first, kept=None)))


@torch.no_grad()
def test_they_are_made_once() -> None:
    weight, x = quantize(drawn(sum(SIZES), WIDTH), "nf4"), drawn(3, WIDTH)
    loras = loras_of((True, True, True))
    quant_linears(x, weight, SIZES, None, loras)
    before = quant_linears(x, weight, SIZES, None, loras)
    for lora in loras:
        assert lora is not None
        lora.b.zero_()  # which nobody does to an answer's adapter
    assert torch.equal(quant_linears(x, weight, SIZES, None, loras), before)


def test_who_wants_gradients_gets_them() -> None:
    weight, x = quantize(drawn(sum(SIZES), WIDTH), "nf4"), drawn(3, WIDTH)
    loras = loras_of((True, True, True))
    for lora in loras:
        assert lora is not None
        lora.a.requires_grad_(), lora.b.requires_grad_()
    quant_linears(x, weight, SIZES, None, loras).sum().backward()  # type: ignore[no-untyped-call]
    assert all(lora is not None and lora.b.grad is not None and not lora.kept for lora in loras)
