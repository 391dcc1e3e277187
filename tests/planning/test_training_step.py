"""The forecast of a training step, against what PyTorch really keeps for the backward pass."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from loralab_core.architecture.config import DecoderConfig
from loralab_core.architecture.families import parse_config
from loralab_core.lora.adapter import create_adapter, use_adapter
from loralab_core.models.decoder import Decoder
from loralab_core.models.loading import DTYPES, place
from loralab_core.models.loss import batch_loss
from loralab_core.ops import cross_entropy
from loralab_core.planning import training_step
from loralab_core.planning.training_step import StepSettings, _layer_numbers, resident_bytes, step_bytes
from loralab_core.text.packing import Batch

ROWS, TIME, RANK = 2, 128, 8


def shortened(fixtures: Path, name: str, layers: int) -> DecoderConfig:
    """The real shapes with fewer layers and a small vocabulary: what is kept of a layer depends on neither."""
    raw = json.loads((fixtures / "configs" / f"{name}.json").read_text())
    raw |= {"num_hidden_layers": layers, "vocab_size": 512}
    if "layer_types" in raw:
        raw["layer_types"] = raw["layer_types"][:layers]
    return parse_config(raw, name)


def decoder(config: DecoderConfig, base: str) -> Decoder:
    with torch.device("meta"):
        model = Decoder(config)
    place(model, DTYPES[base], torch.device("cpu"))
    for parameter in model.parameters():
        parameter.data.normal_(0, 0.02)
    adapter = create_adapter(model, rank=RANK, alpha=16.0, dropout=0.0, targets="all", seed=0)
    for tensor in adapter.parameters():
        tensor.requires_grad_(True)
    use_adapter(model, adapter)
    return model


def kept_bytes(model: Decoder) -> int:
    """Of the tensors that autograd holds between the passes, each memory once, parameters left out."""
    own = {parameter.untyped_storage().data_ptr() for parameter in model.parameters()}
    kept: dict[int, int] = {}

    def pack(tensor: torch.Tensor) -> torch.Tensor:
        memory = tensor.untyped_storage()
        if memory.data_ptr() not in own:
            kept[memory.data_ptr()] = memory.nbytes()
        return tensor

    ids = np.random.default_rng(0).integers(0, 512, (ROWS, TIME))
    positions = np.tile(np.arange(TIME), (ROWS, 1))
    batch = Batch(ids, np.roll(ids, -1, 1), positions, np.zeros((ROWS, TIME), np.int32), [[(0, TIME)]] * ROWS)
    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        loss = batch_loss(model, batch, 1.0)
    assert loss.requires_grad
    return sum(kept.values())


@pytest.mark.parametrize(
    ("name", "base"),
    [
        ("SmolLM2-135M-Instruct", "fp32"),
        ("SmolLM2-135M-Instruct", "bf16"),
        ("Qwen3-0.6B", "bf16"),
        ("Qwen3-0.6B", "fp16"),
        ("gemma-3-270m-it", "fp32"),
        ("phi-2", "bf16"),
    ],
)
def test_what_a_layer_keeps(name: str, base: str, fixtures_dir: Path) -> None:
    """By the difference of two depths, so that both ends of the model do not count."""
    width = StepSettings(base, ROWS, TIME).width
    few, many = (shortened(fixtures_dir, name, layers) for layers in (1, 3))
    really = kept_bytes(decoder(many, base)) - kept_bytes(decoder(few, base))
    forecast = ROWS * TIME * width * sum(_layer_numbers(many, layer, RANK) for layer in (1, 2))
    assert forecast == pytest.approx(really, rel=0.1)


def test_each_remedy_lowers_what_it_is_for(fixtures_dir: Path) -> None:
    config = shortened(fixtures_dir, "Qwen3-0.6B", 28)
    now = StepSettings("bf16", 8, 2048)
    half = StepSettings("bf16", 4, 2048)
    assert 0.4 < step_bytes(config, half) / step_bytes(config, now) < 0.6
    lean = StepSettings("bf16", 8, 2048, checkpoint_activations=True)
    assert step_bytes(config, lean) < step_bytes(config, now) / 4
    assert resident_bytes(config, StepSettings("nf4", 8, 2048, half=True)) < resident_bytes(config, now) / 2
    same = StepSettings("fp16", 8, 2048)
    assert (resident_bytes(config, same), step_bytes(config, same)) == (
        resident_bytes(config, now),
        step_bytes(config, now),
    )
    full = StepSettings("bf16", 1, 128, full=True)
    small = StepSettings("bf16", 1, 128, full=True, optimizer="adamw8bit")
    assert resident_bytes(config, small) < resident_bytes(config, full) < 3.1 * resident_bytes(config, now)


def test_slabs_of_logits_are_those_of_the_loss(fixtures_dir: Path) -> None:
    """They are larger on a GPU: with few rows the head would be read too often."""
    assert (training_step.SLAB, training_step.GPU_SLAB) == (cross_entropy.SLAB_BYTES, cross_entropy.GPU_SLAB_BYTES)
    config = shortened(fixtures_dir, "Qwen3-0.6B", 1)
    here, there = (step_bytes(config, StepSettings("bf16", 8, 32_768, gpu=gpu)) for gpu in (False, True))
    assert there - here == 3 * (training_step.GPU_SLAB - training_step.SLAB)
