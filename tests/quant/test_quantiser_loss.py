"""What 4 bits cost a real, small model on text of its own, rounded and with fitted scales."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from torch import Tensor

from loralab_core.inference.kv_cache import KVCache
from loralab_core.models import load_decoder
from loralab_core.models.decoder import Decoder
from loralab_core.models.parts import Linear
from loralab_core.quant import quantize


@pytest.fixture(scope="module")
def stories(fixtures_dir: Path) -> Decoder:
    return load_decoder(fixtures_dir / "models" / "stories3M", "fp32", torch.device("cpu"))


@pytest.fixture(scope="module")
def text(stories: Decoder) -> Tensor:
    """[16, 96] of what the model says after its first token, at temperature 1."""
    generator = torch.Generator().manual_seed(0)
    cache = KVCache(stories.config, stories.dtype, stories.device, batch=16)
    pieces = [torch.ones(16, 1, dtype=torch.long)]
    with torch.no_grad():
        while len(pieces) < 96:
            shares = stories.logits(stories.hidden(pieces[-1], cache=cache))[:, -1].softmax(-1)
            pieces.append(torch.multinomial(shares, 1, generator=generator))
    return torch.cat(pieces, 1)


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
