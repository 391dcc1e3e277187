"""bitsandbytes' stored weights: what they stand for, to the last bit, and a sentence for what does not fit."""

from collections.abc import Callable
from statistics import NormalDist

import pytest
import torch
from torch import Tensor

from loralab_core.architecture.quantised import Quantised
from loralab_core.errors import BadInput
from loralab_core.quant import dequantise, split_part
from loralab_core.quant.codebooks import FP4, NF4
from tests.quant.quantisers import as_bytes, eight_bit, four_bit

FOUR, EIGHT = Quantised("bitsandbytes 4-bit"), Quantised("bitsandbytes 8-bit")
Parts = dict[str, Tensor]


def weight(rows: int = 24, columns: int = 64, dtype: torch.dtype = torch.float32) -> Tensor:
    return torch.randn(rows, columns, generator=torch.Generator().manual_seed(3)).to(dtype)


def dense(parts: Parts, stored: Quantised) -> Tensor:
    rest = {suffix: tensor for suffix, tensor in parts.items() if suffix != ".weight"}
    return dequantise(parts[".weight"], rest, stored, "model.safetensors: x.weight")


def test_nf4_is_made_of_a_normal_distribution_s_quantiles() -> None:
    """arXiv:2305.14314, section 3 and appendix E: as many on each side of zero, from the same outermost quantile."""
    outermost, inverse = 0.9677083, NormalDist().inv_cdf

    def side(count: int) -> list[float]:
        return [inverse(outermost + (0.5 - outermost) * i / count) / inverse(outermost) for i in range(count)]

    expected = sorted([*side(8), 0.0, *(-value for value in side(7))])
    assert pytest.approx(expected, abs=1e-6) == NF4


def test_fp4_is_a_sign_two_bits_of_exponent_and_one_of_mantissa() -> None:
    assert [12 * value for value in FP4[:8]] == pytest.approx([0, 0.0625, 8, 12, 4, 6, 2, 3])
    assert [-value for value in FP4[8:]] == list(FP4[:8])


@pytest.mark.parametrize("kind", ["nf4", "fp4"])
@pytest.mark.parametrize("nested", [False, True])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("shape", [(24, 64), (5, 7), (3, 100)])
def test_four_bits(kind: str, nested: bool, dtype: torch.dtype, shape: tuple[int, int]) -> None:
    original = weight(*shape, dtype)
    parts, expected = four_bit(original, kind, nested=nested)
    found = dense(parts, FOUR)
    assert found.dtype == dtype and torch.equal(found, expected)
    assert (found.float() - original.float()).abs().max() < 0.2 * original.float().abs().max()


def test_a_weight_of_many_slabs() -> None:
    parts, _ = four_bit(weight(2, 64))
    times = 2000  # more than one slab of values
    state = parts[".weight.quant_state.bitsandbytes__nf4"].numpy().tobytes().decode()
    once = dense(parts, FOUR)
    parts |= {name: parts[name].repeat(*[times, 1][: parts[name].dim()]) for name in (".weight", ".weight.absmax")}
    parts[".weight.quant_state.bitsandbytes__nf4"] = as_bytes(state.replace("[2, 64]", f"[{2 * times}, 64]"))
    assert torch.equal(dense(parts, FOUR), once.repeat(times, 1))


def test_codes_stored_under_another_type_s_name() -> None:
    parts, expected = four_bit(weight())
    parts[".weight"] = parts[".weight"].view(-1).view(torch.bfloat16)[:, None]
    assert torch.equal(dense(parts, FOUR), expected)


def test_eight_bits() -> None:
    parts, expected = eight_bit(weight())
    assert torch.equal(dense(parts, EIGHT), expected)
    assert (expected - weight()).abs().max() < 0.01 * weight().abs().max()


def test_which_weight_a_part_belongs_to() -> None:
    assert split_part("a.q_proj.weight.absmax", FOUR) == ("a.q_proj.weight", ".weight.absmax")
    assert split_part("a.q_proj.weight.nested_absmax", FOUR) == ("a.q_proj.weight", ".weight.nested_absmax")
    assert split_part("a.q_proj.SCB", EIGHT) == ("a.q_proj.weight", ".SCB")
    assert split_part("a.q_proj.weight", FOUR) is None and split_part("a.q_proj.SCB", FOUR) is None


def without(suffix: str) -> Callable[[Parts], object]:
    return lambda parts: parts.pop(suffix)


def shortened(suffix: str) -> Callable[[Parts], object]:
    return lambda parts: parts.update({suffix: parts[suffix][:-1]})


def state_with(old: str, new: str) -> Callable[[Parts], object]:
    name = ".weight.quant_state.bitsandbytes__nf4"
    return lambda parts: parts.update({name: as_bytes(parts[name].numpy().tobytes().decode().replace(old, new))})


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (without(".weight.absmax"), ".weight.absmax"),
        (without(".weight.quant_map"), "quant_map"),
        (without(".weight.nested_absmax"), "nested_absmax"),
        (without(".weight.quant_state.bitsandbytes__nf4"), "quant_state"),
        (shortened(".weight"), "codes has 767 values where 768 belong"),
        (shortened(".weight.absmax"), "absmax has"),
        (shortened(".weight.nested_absmax"), "nested_absmax has"),
        (shortened(".weight.nested_quant_map"), "256"),
        (shortened(".weight.quant_state.bitsandbytes__nf4"), "damaged"),
        (lambda parts: parts.update({".weight.absmax": parts[".weight.absmax"].int()}), "int32"),
        (state_with('"nf4"', '"\\u00ff4"'), "damaged"),
        (state_with("64]", "-64]"), "shape"),
        (state_with("[24", "[48"), "1536 belong"),
        (state_with('"blocksize": 64', '"blocksize": 0'), "blocksize"),
        (state_with("nested_offset", "offset"), "nested_offset"),
        (state_with("float32", "float33"), "dtype"),
        (state_with('"nf4"', '"fp4"'), "not the table of fp4"),
    ],
)
def test_damaged_four_bits(damage: Callable[[Parts], object], words: str) -> None:
    parts, _ = four_bit(weight(), nested=True)
    damage(parts)
    refused(parts, FOUR, words)


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (without(".SCB"), ".SCB"),
        (shortened(".SCB"), "SCB has 23 values where 24 belong"),
        (lambda parts: parts.update({".weight_format": torch.tensor(2)}), "layout"),
        (lambda parts: parts.update({".weight": parts[".weight"].view(torch.uint8)}), "uint8"),
    ],
)
def test_damaged_eight_bits(damage: Callable[[Parts], object], words: str) -> None:
    parts, _ = eight_bit(weight())
    damage(parts)
    refused(parts, EIGHT, words)


def refused(parts: Parts, stored: Quantised, words: str) -> None:
    with pytest.raises(BadInput) as raised:
        dense(parts, stored)
    sentence = str(raised.value)
    assert "model.safetensors: x.weight" in sentence and words in sentence and "\n" not in sentence


@pytest.mark.parametrize("kind", ["nf4", "fp4"])
@pytest.mark.parametrize("nested", [False, True])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("columns", [333, 256])
def test_bitsandbytes_own_four_bits(kind: str, nested: bool, dtype: torch.dtype, columns: int) -> None:
    """Even rows that do not hold whole blocks are left out: there bitsandbytes 0.50's AVX-512 kernel is wrong."""
    functional = pytest.importorskip("bitsandbytes.functional", reason="the reference, bitsandbytes, is not installed")
    packed, state = functional.quantize_4bit(
        weight(60, columns, dtype), blocksize=64, quant_type=kind, compress_statistics=nested
    )
    parts = {f".weight.{name}": tensor for name, tensor in state.as_dict(packed=True).items()} | {".weight": packed}
    assert torch.equal(dense(parts, FOUR), functional.dequantize_4bit(packed, state))


def test_bitsandbytes_own_eight_bits() -> None:
    functional = pytest.importorskip("bitsandbytes.functional", reason="the reference, bitsandbytes, is not installed")
    codes, maxima, _ = functional.int8_vectorwise_quant(weight(60, 333, torch.float16))
    expected = functional.int8_vectorwise_dequant(codes, maxima)
    assert torch.equal(dense({".weight": codes, ".SCB": maxima}, EIGHT), expected)
