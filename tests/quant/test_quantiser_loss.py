"""What 4 bits cost a real, small model on text of its own, rounded and with fitted scales."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from torch import Tensor

from loralab_core.models import load_decoder
from loralab_core.models.decoder import Decoder
from loralab_core.models.parts import Linear
from loralab_core.quant import quantize
from tests.quant.own_text import own_text


@pytest.fixture(scope="module")
def stories(fixtures_dir: Path) -> Decoder:
    return load_decoder(fixtures_dir / "models" / "stories3M", "fp32", torch.device("cpu"))


@pytest.fixture(scope="module")
def text(stories: Decoder) -> Tensor:
    return own_text(stories, 16, 96)


@pytest.fixture
def restored(stories: Decoder) -> Iterator[list[tuple[Linear, Tensor]]]:
    """The projections with their dense weights, which come back after the test."""
    kept = [(each, each.weight.clone()) for each in stories.layers.modules() if isinstance(each, Linear)]
    yield kept
    for each, weight in kept:
        each.weight.data.copy_(weight)


@pytest.mark.parametrize("kind", ["nf4", "int4"])
@torch.no_grad()
def test_fitted_scales_lower_the_loss(
    stories: Decoder, text: Tensor, restored: list[tuple[Linear, Tensor]], kind: str
) -> None:
    dense = stories(text).log_softmax(-1)
    gained = {}
    for method in ("nearest", "fitted"):
        for each, weight in restored:
            each.weight.copy_(quantize(weight, kind, method=method).dequantize())  # type: ignore[arg-type]
        # expected loss above the dense model's, on what that one would say next
        gained[method] = float((dense.exp() * (dense - stories(text).log_softmax(-1))).sum(-1).mean())
    assert 0 < gained["fitted"] < 0.92 * gained["nearest"]
