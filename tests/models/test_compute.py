"""What a model loses to products in 8 bits, where it hurts: a real one, and the same function with real outliers."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from torch import Tensor

from loralab_core.lora.adapter import create_adapter, use_adapter
from loralab_core.models import load_decoder
from loralab_core.models.decoder import Decoder
from loralab_core.ops import Compute, linear_cross_entropy
from tests.quant.outlier_twin import write_outlier_twin
from tests.quant.own_text import own_text

CPU = torch.device("cpu")
LOSS, GRADIENT = 0.005, 0.08  # relative, of float32's on the same NF4 weights; transformers + peft in bf16: 0.04-0.07
ADAPTERS = [(0, 0.0), (1, 0.002), (2, 0.005)]  # seed, standard deviation of B


@pytest.fixture(scope="module")
def text(fixtures_dir: Path) -> Tensor:
    return own_text(load_decoder(fixtures_dir / "models" / "stories3M", "fp32", CPU), 8, 128)


@pytest.fixture(params=["stories3M", "its outlier twin"])
def directory(request: pytest.FixtureRequest, fixtures_dir: Path, tmp_path: Path) -> Path:
    original = fixtures_dir / "models" / "stories3M"
    return original if request.param == original.name else write_outlier_twin(original, tmp_path / "twin")


def test_losses_and_gradients_stay_close_to_those_of_float32(directory: Path, text: Tensor) -> None:
    exact, rounded = (load_decoder(directory, "nf4", CPU).to(dtype) for dtype in (torch.float32, torch.bfloat16))
    for adapter in ADAPTERS:
        loss, gradient = slope(exact, "w4a16", text, *adapter)
        for model, compute in classes(exact, rounded):
            its_loss, its_gradient = slope(model, compute, text, *adapter)
            case = (adapter, model.dtype, compute)
            assert abs(its_loss / loss - 1) < LOSS, case
            assert (its_gradient - gradient).norm() < GRADIENT * gradient.norm(), case


def classes(*models: Decoder) -> Iterator[tuple[Decoder, Compute]]:
    for model in models:
        yield model, "w4a8-grad"
        yield model, "w4a8"


def slope(model: Decoder, compute: Compute, text: Tensor, seed: int, spread: float) -> tuple[float, Tensor]:
    """Loss, and its gradient by an adapter of rank 8, all tensors behind one another."""
    adapter = create_adapter(model, rank=8, alpha=16, seed=seed)
    for lora in adapter.layers.values():
        lora.b.normal_(0, spread, generator=torch.Generator().manual_seed(seed))
    tensors = [tensor.requires_grad_() for tensor in adapter.parameters()]
    use_adapter(model, adapter)
    model.use_compute(compute)
    states, labels = model.hidden(text[:, :-1]).flatten(0, 1), text[:, 1:].flatten()
    head = model.head
    loss = linear_cross_entropy(states, head.weight, labels, 1 / len(labels), compute=head.compute)
    return float(loss.detach()), torch.cat([each.flatten() for each in torch.autograd.grad(loss, tensors)])


def test_a_coarse_model_keeps_16_bits_where_8_cost_most(directory: Path) -> None:
    model = load_decoder(directory, "nf4", CPU)
    model.use_compute("w4a8")
    used = {name.rpartition(".")[2]: each.compute for name, each in model.named_modules() if hasattr(each, "path")}
    assert used.pop("head") == "w4a16"
    assert used.pop("down") == used.pop("output") == "w4a8-grad"
    assert set(used.values()) == {"w4a8"}
