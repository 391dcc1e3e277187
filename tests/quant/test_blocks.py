"""FP8 and MLX: what a scale stands for, and a sentence for what does not fit."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor
from transformers.integrations.finegrained_fp8 import Fp8Dequantize

from loralab_core.architecture.quantised import Quantised
from loralab_core.errors import BadInput
from loralab_core.quant import dequantise
from tests.quant.quantisers import fp8, mlx

FP8, MLX = Quantised("FP8", (16, 16)), Quantised("MLX", (1, 16))
Parts = dict[str, Tensor]


def weight(rows: int = 32, columns: int = 64) -> Tensor:
    return torch.randn(rows, columns, generator=torch.Generator().manual_seed(3))


def dense(parts: Parts, stored: Quantised) -> Tensor:
    rest = {suffix: tensor for suffix, tensor in parts.items() if suffix != ".weight"}
    return dequantise(parts[".weight"], rest, stored, "model.safetensors: x.weight")


@pytest.mark.parametrize("shape", [(32, 64), (33, 70), (7, 5)])
def test_fp8(shape: tuple[int, int]) -> None:
    parts, expected = fp8(weight(*shape))
    assert torch.equal(dense(parts, FP8), expected)
    assert (expected - weight(*shape)).abs().max() < 0.05 * weight(*shape).abs().max()


def test_fp8_is_what_transformers_makes_of_it() -> None:
    parts, _ = fp8(weight())
    given = {"weight": parts[".weight"], "weight_scale_inv": parts[".weight_scale_inv"]}
    assert torch.equal(dense(parts, FP8), Fp8Dequantize(None).convert(given)["weight"])


@pytest.mark.parametrize("bits", [2, 3, 4, 5, 6, 8])
def test_mlx(bits: int) -> None:
    parts, expected = mlx(weight(), bits)
    assert torch.equal(dense(parts, MLX), expected)
    assert (expected - weight()).abs().max() <= 0.51 * parts[".scales"].max()


@pytest.mark.parametrize("bits", [2, 3, 4, 5, 6, 8])
@pytest.mark.parametrize("kind", ["float32", "float16", "bfloat16"])
def test_mlx_own_weights(bits: int, kind: str) -> None:
    core = pytest.importorskip("mlx.core", reason="the reference, mlx, is not installed")
    original = core.array(weight(40, 256).numpy()).astype(getattr(core, kind))
    codes, *scaling = core.quantize(original, group_size=32, bits=bits)
    expected = core.dequantize(codes, *scaling, group_size=32, bits=bits)
    scales, biases, wanted = (
        torch.tensor(each.astype(core.float32).tolist()).to(getattr(torch, kind)) for each in (*scaling, expected)
    )
    words = torch.tensor(codes.tolist(), dtype=torch.int64).to(torch.uint32)
    parts = {".weight": words, ".scales": scales, ".biases": biases}
    assert torch.equal(dense(parts, Quantised("MLX", (1, 32))), wanted)


def change(suffix: str, how: Callable[[Tensor], Tensor]) -> Callable[[Parts], object]:
    return lambda parts: parts.update({suffix: how(parts[suffix])})


@pytest.mark.parametrize(
    ("stored", "damage", "words"),
    [
        (FP8, lambda parts: parts.pop(".weight_scale_inv"), "weight_scale_inv"),
        (FP8, change(".weight_scale_inv", lambda scales: scales[:-1]), "4 values where 8 belong"),
        (FP8, change(".weight_scale_inv", lambda scales: scales.to(torch.uint8)), "uint8"),
        (FP8, change(".weight", lambda codes: codes.view(torch.int8)), "int8"),
        (MLX, lambda parts: parts.pop(".scales"), ".scales"),
        (MLX, lambda parts: parts.pop(".biases"), ".biases"),
        (MLX, change(".biases", lambda biases: biases[:-1]), "biases has"),
        (MLX, change(".scales", lambda scales: scales[:-1]), "scales has"),
        (MLX, change(".scales", lambda scales: scales[:0]), "scales has"),
        (MLX, change(".weight", lambda words: words[:, :-1].contiguous()), "32 bits"),
        (MLX, change(".weight", lambda words: words.view(torch.int32)), "int32"),
    ],
)
def test_damage(stored: Quantised, damage: Callable[[Parts], object], words: str) -> None:
    parts, _ = fp8(weight()) if stored is FP8 else mlx(weight())
    damage(parts)
    with pytest.raises(BadInput) as raised:
        dense(parts, stored)
    sentence = str(raised.value)
    assert "model.safetensors: x.weight" in sentence and words in sentence and "\n" not in sentence
