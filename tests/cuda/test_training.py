"""The operator with its gradients, and a real LoRA run, on the CUDA kernels thread for thread."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

import loralab_core as ll
from loralab_core.models import loading
from loralab_core.ops import Lora, linear, quant_matmul
from loralab_core.quant import quantize
from loralab_core.training.loss_scale import FIRST
from tests.training.small_runs import losses, small


@pytest.fixture
def by_path(emulated: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Products take this path of the emulated GPU; float32 is handed over in bf16, fp16 as it is."""

    def use(path: str) -> None:
        def multiply(x: Tensor, *arguments: Any) -> Tensor:
            own = "gemm" if path == "tiles" and arguments[3] is None else path  # the head has 8 bits
            given = x if x.dtype == torch.float16 else x.bfloat16()
            y: Tensor = emulated.quant_matmul(given, *arguments[:-1], own)
            return y.to(x.dtype)

        monkeypatch.setattr(quant_matmul, "MULTIPLY", multiply)
        monkeypatch.setattr(quant_matmul, "choose", lambda *arguments: path)

    return use


@pytest.mark.parametrize("path", ["tiles", "gemm", "int8"])
def test_gradients_are_those_of_the_dense_layer(by_path: Any, path: str) -> None:
    weight, draws = quantize(normal(96, 160), "nf4"), (normal(2, 20, 160), normal(96), normal(8, 160), normal(96, 8))
    found = []
    for form in (weight, weight.dequantize()):
        leaves = [tensor.clone().requires_grad_() for tensor in draws]
        if form is weight:
            by_path(path)
        y = linear(leaves[0], form, leaves[1], Lora(leaves[2], leaves[3], 0.5), "w4a8" if path == "int8" else "auto")
        found.append([y, *torch.autograd.grad(y.square().sum(), leaves)])
    for ours, dense in zip(*found, strict=True):
        assert (ours - dense).norm() < (0.03 if path == "int8" else 0.012) * dense.norm()


@pytest.mark.parametrize("path", ["tiles", "gemm", "int8"])
def test_a_run_follows_the_one_on_the_processor(by_path: Any, path: str, fixtures_dir: Path) -> None:
    config = small(fixtures_dir, base="nf4", steps=2, batch=1, val=0.0, compute="w4a8" if path == "int8" else "w4a16")
    expected = losses(list(ll.train(config)))
    by_path(path)
    assert losses(list(ll.train(config))) == pytest.approx(expected, rel=0.015 if path == "int8" else 4e-3)


@pytest.mark.usefixtures("fused")
def test_so_does_one_in_fp16_as_on_a_chip_without_bf16(
    by_path: Any, fixtures_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Norms, gates, turns and the loss by their kernels too, and the loss scaled."""
    config = small(fixtures_dir, base="nf4", steps=2, batch=1, val=0.0)
    expected = losses(list(ll.train(config)))
    by_path("tiles")
    monkeypatch.setattr(loading, "auto_base", lambda *arguments: "fp16")
    events = [event for event in ll.train(config) if event["event"] == "step"]
    assert [event["loss_scale"] for event in events] == [FIRST] * 2
    assert losses(events) == pytest.approx(expected, rel=2e-3)


def normal(*shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(sum(shape)))
