"""Training on a base that is stored quantised: adapters on it, and all of its weights."""

import json
from pathlib import Path

import pytest
import torch

import loralab_core as ll
from tests.quant.models import BITSANDBYTES_4, quantised_pair
from tests.quant.quantisers import four_bit
from tests.training.small_runs import losses, small


@pytest.fixture
def pair(fixtures_dir: Path, tmp_path: Path) -> tuple[Path, Path]:
    return quantised_pair(fixtures_dir / "models" / "stories260K", tmp_path, four_bit, BITSANDBYTES_4)


def test_an_adapter_learns_what_it_learns_on_the_dense_model(pair: tuple[Path, Path], fixtures_dir: Path) -> None:
    on_quantised, on_dense = (list(ll.train(small(fixtures_dir, model=str(each), steps=4))) for each in pair)
    assert losses(on_quantised) == losses(on_dense) and len(losses(on_dense)) == 4
    lm = ll.load(pair[0], base="fp32", device="cpu")
    lm.attach(on_quantised[-1]["adapter"])


def test_all_weights_trained_come_out_dense(pair: tuple[Path, Path], fixtures_dir: Path) -> None:
    done = list(ll.train(small(fixtures_dir, model=str(pair[0]), mode="full", steps=2, save_every=1)))[-1]
    result = Path(done["run"]) / "model"
    assert "quantization_config" not in json.loads((result / "config.json").read_text())
    ids = torch.arange(20)[None]
    before, after = (ll.load(each, base="fp32", device="cpu").model(ids) for each in (pair[1], result))
    assert 0 < (after - before).abs().max() < before.abs().max()
