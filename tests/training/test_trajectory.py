"""Training follows transformers + peft step by step, on chat data packed several rows to a window as on plain text."""

from pathlib import Path

import pytest
import torch

from loralab_core.lora import create_adapter, load, save_adapter
from loralab_core.runs.config import TrainConfig
from loralab_core.text.dataset import prepare
from loralab_core.text.packing import order, pack
from loralab_core.training.trainer import StepResult, Trainer
from tests.training.reference import loss_of, open_with_peft

STEPS = 20


@pytest.mark.parametrize(
    ("corpus", "seq_len"), [("tinyshakespeare.txt", 128), ("instruction-data.alpaca-format.json", 256)]
)
def test_twenty_steps_on_the_same_batches(corpus: str, seq_len: int, fixtures_dir: Path, tmp_path: Path) -> None:
    model_dir, batch = fixtures_dir / "models" / "stories3M", 3
    lm = load(model_dir, "fp32", "cpu")
    data = prepare(
        [str(fixtures_dir / "corpora" / corpus)], lm.text(), seq_len=seq_len, val=0.0, cache=tmp_path / "cache"
    )
    windows = pack(data.train, seq_len)
    config = TrainConfig(
        model="m", corpus=("c",), batch=batch, micro_batch=2, seq_len=seq_len, lr=2e-3, schedule="constant"
    )
    adapter = create_adapter(lm.model, rank=8, alpha=16)
    save_adapter(adapter, tmp_path / "start", "m")
    reference = open_with_peft(model_dir, tmp_path / "start")
    trainable = [parameter for parameter in reference.parameters() if parameter.requires_grad]
    optimizer = torch.optim.AdamW(trainable, lr=2e-3, weight_decay=0.0)
    trainer = Trainer(lm, config, windows, STEPS, adapter)
    for step in range(1, STEPS + 1):
        *_, ours = trainer.run_step()
        assert isinstance(ours, StepResult)
        loss = loss_of(reference, windows.batch(order(len(windows), step, batch, config.seed)))
        loss.backward()
        norm = torch.nn.utils.clip_grad_norm_(trainable, 1.0)
        optimizer.step()
        optimizer.zero_grad()
        assert ours.loss == pytest.approx(loss.item(), rel=1e-3), step
        assert ours.grad_norm == pytest.approx(float(norm), rel=1e-2), step
    assert ours.loss < 5.0


def test_gradients_of_every_adapter_tensor(fixtures_dir: Path, tmp_path: Path) -> None:
    from loralab_core.models.loss import batch_loss

    model_dir = fixtures_dir / "models" / "stories3M"
    lm = load(model_dir, "fp32", "cpu")
    data = prepare(
        [str(fixtures_dir / "corpora" / "instruction-data.alpaca-format.json")],
        lm.text(),
        seq_len=256,
        val=0.0,
        cache=tmp_path / "cache",
    )
    windows = pack(data.train, 256)
    adapter = create_adapter(lm.model, rank=4, alpha=8)
    for lora in adapter.layers.values():
        lora.b.normal_(std=0.05, generator=torch.Generator().manual_seed(1))
    save_adapter(adapter, tmp_path / "start", "m")
    for tensor in adapter.parameters():
        tensor.requires_grad_(True)
    batch = windows.batch([0, 1, 2])
    assert any(len(row) > 1 for row in batch.segments)
    with lm.using(adapter):
        batch_loss(lm.model, batch, 1 / batch.trained).backward()
    reference = open_with_peft(model_dir, tmp_path / "start")
    loss_of(reference, batch).backward()
    theirs = dict(reference.named_parameters())
    for path, lora in adapter.layers.items():
        for half, tensor in (("A", lora.a), ("B", lora.b)):
            expected = theirs[f"base_model.model.{path}.lora_{half}.default.weight"].grad
            assert float((tensor.grad - expected).norm() / expected.norm()) < 1e-4, (path, half)
