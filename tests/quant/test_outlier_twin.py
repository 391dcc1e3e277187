"""An outlier twin is the same function with outliers in it; the other numeric tests rely on both."""

from pathlib import Path

import pytest
import torch
from torch import Tensor

from loralab_core.models import load_decoder
from loralab_core.models.decoder import Decoder
from tests.quant.outlier_twin import grow_outliers, write_outlier_twin

CPU = torch.device("cpu")
MODELS = ["stories3M", "tiny_gemma3", "tiny_qwen3"]  # a gain of 0 is one of 1 in Gemma


def logits(model: Decoder) -> Tensor:
    with torch.no_grad():
        return model(torch.arange(64)[None])


def widest(model: Decoder) -> Tensor:
    """Largest magnitude of each column of what the first layer's queries read."""
    with torch.no_grad():
        normed = model.layers[0].attention_norm(model.embedding(torch.arange(64)[None]))  # type: ignore[operator, union-attr]
    return normed.abs().amax((0, 1))


@pytest.mark.parametrize("name", MODELS)
def test_the_twin_is_the_same_function(name: str, fixtures_dir: Path, tmp_path: Path) -> None:
    source = fixtures_dir / "models" / name
    original = load_decoder(source, "fp32", CPU)
    twin = load_decoder(write_outlier_twin(source, tmp_path / "twin"), "fp32", CPU)
    torch.testing.assert_close(logits(twin), logits(original), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("name", MODELS)
def test_the_twin_has_outliers(name: str, fixtures_dir: Path) -> None:
    model = load_decoder(fixtures_dir / "models" / name, "fp32", CPU)
    before = widest(model)
    grow_outliers(model, columns=4, factor=50)
    assert (widest(model) > 40 * before).sum() == 4


def test_the_same_seed_chooses_the_same_columns(fixtures_dir: Path) -> None:
    models = [load_decoder(fixtures_dir / "models" / "stories3M", "fp32", CPU) for _ in range(3)]
    for model, seed in zip(models, (1, 1, 2), strict=True):
        grow_outliers(model, seed=seed)
    same, other = (torch.equal(widest(models[0]), widest(model)) for model in models[1:])
    assert same and not other
