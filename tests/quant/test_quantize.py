"""Our own 4-bit and 8-bit forms: what they hold, how near they are, and that NF4 is bitsandbytes' NF4."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from loralab_core.errors import BadInput
from loralab_core.quant import QuantTensor, quantize
from loralab_core.quant.codebooks import CODEBOOKS
from loralab_core.quant.scales import decode_scales, encode_scales

FORMS = [
    pytest.param("nf4", {}, id="nf4"),
    pytest.param("nf4", {"method": "fitted"}, id="nf4 fitted"),
    pytest.param("int4", {}, id="int4"),
    pytest.param("int4", {"method": "fitted"}, id="int4 fitted"),
    pytest.param("int4", {"zero_points": True}, id="int4 zero-points"),
    pytest.param("int4", {"zero_points": True, "method": "fitted"}, id="int4 zero-points fitted"),
    pytest.param("int8", {}, id="int8"),
]


METHODS = ("nearest", "fitted")


def gaussian(out: int, width: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(out, width, generator=torch.Generator().manual_seed(seed))


def error(found: QuantTensor, weight: torch.Tensor) -> float:
    return float((found.dequantize() - weight).norm() / weight.norm())


def test_nf4_codes_are_those_of_bitsandbytes() -> None:
    functional = pytest.importorskip("bitsandbytes.functional", reason="the reference is not installed")
    weight = gaussian(256, 512)
    packed, _ = functional.quantize_4bit(weight, blocksize=64, quant_type="nf4")
    assert torch.equal(quantize(weight, "nf4").codes, packed.view(256, 256))


@pytest.mark.parametrize(("kind", "how"), FORMS)
def test_a_gaussian_weight_stays_as_near_as_its_form_allows(kind: str, how: dict[str, object]) -> None:
    weight = gaussian(128, 512)
    limits = {"nf4": 0.094, "int4": 0.11, "int8": 0.009}
    assert error(quantize(weight, kind, **how), weight) < limits[kind]  # type: ignore[arg-type]


@pytest.mark.parametrize(("kind", "zero_points"), [("nf4", False), ("int4", False), ("int4", True)])
def test_fitted_scales_are_nearer_than_the_largest_magnitude(kind: str, zero_points: bool) -> None:
    weight = gaussian(128, 512)
    nearest = quantize(weight, kind, zero_points=zero_points)  # type: ignore[arg-type]
    fitted = quantize(weight, kind, method="fitted", zero_points=zero_points)  # type: ignore[arg-type]
    assert error(fitted, weight) < 0.96 * error(nearest, weight)
    assert fitted.nbytes == nearest.nbytes


@settings(deadline=None, max_examples=60)
@given(
    out=st.integers(1, 40),
    width=st.integers(1, 300),
    group=st.sampled_from([32, 64, 128]),
    form=st.sampled_from([("nf4", False), ("int4", False), ("int4", True)]),
    spread=st.sampled_from([0.0, 1.0, 4.0]),
    shift=st.sampled_from([0.0, 3.0]),
)
def test_fitted_scales_are_never_further(
    out: int, width: int, group: int, form: tuple[str, bool], spread: float, shift: float
) -> None:
    """Also where the rows that share the steps of their scales differ by orders of magnitude."""
    weight = (gaussian(out, width) + shift) * torch.exp(spread * gaussian(out, 1, seed=1))
    nearest, fitted = (quantize(weight, form[0], group, method=method, zero_points=form[1]) for method in METHODS)  # type: ignore[arg-type]
    assert error(fitted, weight) <= error(nearest, weight) * (1 + 1e-5) + 1e-7


def test_a_scale_below_zero_turns_the_codebook_around() -> None:
    weight = (torch.arange(64) % 15 - 7).float().repeat(16, 1)
    weight[:, 0] = 8  # seven steps up do not reach it, eight down do
    assert error(quantize(weight, "int4", method="fitted"), weight) < 1e-6 < error(quantize(weight, "int4"), weight)


def test_zero_points_help_where_weights_lie_on_one_side() -> None:
    weight = gaussian(64, 256).abs() + 1
    assert error(quantize(weight, "int4", zero_points=True), weight) < 0.6 * error(quantize(weight, "int4"), weight)


@settings(deadline=None, max_examples=60)
@given(
    out=st.integers(1, 40),
    width=st.integers(1, 300),
    group=st.sampled_from([32, 64, 128]),
    form=st.sampled_from(FORMS),
)
def test_every_shape_comes_back(out: int, width: int, group: int, form: object) -> None:
    kind, how = form.values  # type: ignore[attr-defined]
    weight = gaussian(out, width, seed=out * width)
    found = quantize(weight, kind, group, **how)
    dense = found.dequantize()
    assert dense.shape == weight.shape
    if how.get("method") != "fitted":  # which may cut the largest off, for the good of the others
        # half of the widest step, and what rounding the scale to 8 bits adds
        assert float((dense - weight).abs().max()) < 0.21 * float(weight.abs().max()) + 1e-6


@pytest.mark.parametrize(("kind", "how"), FORMS)
def test_groups_of_zeros_stay_so(kind: str, how: dict[str, object]) -> None:
    weight = gaussian(20, 192)
    weight[3:9, 64:128] = 0
    weight[11] = 0
    found = quantize(weight, kind, **how).dequantize()  # type: ignore[arg-type]
    assert not found[3:9, 64:128].any() and not found[11].any()


def test_bytes_a_parameter() -> None:
    weight = gaussian(2048, 1024)
    assert quantize(weight, "nf4").nbytes / weight.numel() <= 0.53
    assert quantize(weight, "int4").nbytes / weight.numel() <= 0.53
    assert quantize(weight, "int8").nbytes / weight.numel() < 1.01


def test_the_order_of_elements_in_a_byte() -> None:
    weight = torch.zeros(1, 64)
    weight[0, 0], weight[0, 1], weight[0, 3] = 1.0, -1.0, 0.7229568362236023
    codes = quantize(weight, "nf4").codes[0]
    assert codes[0] == 15 << 4 | 0 and codes[1] == 7 << 4 | 14 and codes[2] == 7 << 4 | 7
    assert CODEBOOKS["nf4"][7] == 0


def test_bf16_is_the_product_rounded_once() -> None:
    found = quantize(gaussian(48, 192), "nf4")
    assert torch.equal(found.dequantize(torch.bfloat16), found.dequantize().to(torch.bfloat16))


def test_it_is_the_same_from_any_precision_that_holds_the_weight() -> None:
    weight = gaussian(32, 128).bfloat16()
    for dtype in (torch.float32, torch.float64):
        assert torch.equal(quantize(weight.to(dtype), "nf4").codes, quantize(weight, "nf4").codes)


def test_scales_come_back_within_half_a_step_and_rows_stand_alone() -> None:
    scales = gaussian(40, 6).abs()
    codes, steps = encode_scales(scales)
    whole = decode_scales(codes, steps)
    assert bool(((whole - scales).abs() <= steps[:, 0].repeat_interleave(16)[:40, None] * 0.5001).all())
    assert torch.equal(decode_scales(codes[16:32], steps, start=16), whole[16:32])


@pytest.mark.parametrize(
    ("weight", "how", "words"),
    [
        (torch.zeros(4, 4, 4), {"kind": "nf4"}, "[4, 4, 4]"),
        (torch.zeros(4, 64, dtype=torch.int8), {"kind": "nf4"}, "int8"),
        (torch.zeros(4, 0), {"kind": "int8"}, "[4, 0]"),
        (torch.zeros(4, 64), {"kind": "nf3"}, "nf3"),
        (torch.zeros(4, 64), {"kind": "nf4", "group": 48}, "48"),
        (torch.zeros(4, 64), {"kind": "nf4", "zero_points": True}, "zero-points"),
        (torch.zeros(4, 64), {"kind": "nf4", "method": "best"}, "best"),
        (torch.full((4, 64), float("nan")), {"kind": "int8"}, "NaN"),
    ],
)
def test_what_cannot_be_is_said(weight: torch.Tensor, how: dict[str, object], words: str) -> None:
    with pytest.raises(BadInput) as raised:
        quantize(weight, **how)  # type: ignore[arg-type]
    assert words in str(raised.value)
