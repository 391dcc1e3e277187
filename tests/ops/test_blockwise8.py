"""8-bit blocks are bitsandbytes' in map, scale and code, and an element comes back as near as its decade allows."""

import pytest
import torch

from loralab_core.ops.blockwise8 import BLOCK, dequantize_blockwise, dynamic_map, quantize_blockwise

BOTH = pytest.mark.parametrize("signed", [True, False])


def numbers(count: int, signed: bool) -> torch.Tensor:
    """Over ten decades, and a block of zeros."""
    generator = torch.Generator().manual_seed(count)
    found = torch.randn(count, generator=generator) * 10 ** (5 * torch.rand(count, generator=generator) - 8)
    found[BLOCK : 2 * BLOCK] = 0
    return found if signed else found.abs()


@BOTH
def test_the_map_is_that_of_bitsandbytes(signed: bool) -> None:
    functional = pytest.importorskip("bitsandbytes.functional", reason="the reference is not installed")
    assert torch.equal(dynamic_map(signed), functional.create_dynamic_map(signed))


@BOTH
def test_codes_and_scales_are_those_of_bitsandbytes(signed: bool) -> None:
    """Its searched codes (of float64 input): the table it uses for float32 on a CPU misses small numbers."""
    pytest.importorskip("bitsandbytes", reason="the reference is not installed")
    values = numbers(40 * BLOCK, signed)
    live = torch.ones(len(values), dtype=torch.bool)
    live[BLOCK : 2 * BLOCK] = False  # a block of zeros is 0/0 there
    codes, scales = quantize_blockwise(values, signed)
    theirs, largest = torch.ops.bitsandbytes.quantize_blockwise(values.double(), dynamic_map(signed), BLOCK)
    assert torch.equal(codes[live], theirs[live]) and torch.equal(scales, largest.float())


@BOTH
@pytest.mark.parametrize("count", [1, 255, 256, 257, 4096, 5000])
def test_what_comes_back_is_the_nearest_that_a_code_can_say(count: int, signed: bool) -> None:
    values = numbers(count, signed)
    codes, scales = quantize_blockwise(values, signed)
    back = dequantize_blockwise(codes, scales, signed)
    assert codes.shape == values.shape and len(scales) == -(-count // BLOCK)
    every = dynamic_map(signed).double() * scales.repeat_interleave(BLOCK)[:count, None].double()
    nearest = (every - values.double()[:, None]).abs().amin(1)
    found = (back.double() - values.double()).abs()
    assert (found - nearest <= 1e-6 * scales.repeat_interleave(BLOCK)[:count] * back.abs().sign()).all()
    assert torch.equal(back[values == 0], values[values == 0])
    again, same = quantize_blockwise(back, signed)
    if signed is False:  # the largest magnitude of a signed block may have no code of its own where it is negative
        assert torch.equal(same, scales) and torch.equal(again, codes)
