"""Passes that are recorded and replayed train as those that are computed as they are written."""

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from loralab_core.lora import create_adapter, load
from loralab_core.lora.loaded import LoadedModel
from loralab_core.models.loss import to_device
from loralab_core.ops.graphs import CannotRecord, Recorder, Replay
from loralab_core.runs.config import TrainConfig
from loralab_core.text.dataset import prepare
from loralab_core.text.packing import Windows, pack
from loralab_core.training.passes import MOST, Passes
from loralab_core.training.trainer import StepResult, Trainer
from tests.recording import RecorderOnCpu

CHAT, PLAIN = "instruction-data.alpaca-format.json", "tinyshakespeare.txt"


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of what is tokenised, once for all tests."""
    return tmp_path_factory.mktemp("cache")


def windows_of(lm: LoadedModel, fixtures: Path, cache: Path, corpus: str, packing: bool = True) -> Windows:
    data = prepare([str(fixtures / "corpora" / corpus)], lm.text(), seq_len=128, val=0.0, cache=cache)
    return pack(data.train, 128, packing)


def trainer_of(lm: LoadedModel, windows: Windows, record: Recorder | None, **changes: Any) -> Trainer:
    settings: dict[str, Any] = {"batch": 4, "micro_batch": 2, "lr": 5e-3, "schedule": "constant", **changes}
    adapter = create_adapter(lm.model, rank=4, alpha=8, dropout=settings.pop("dropout", 0.0))
    trainer = Trainer(lm, TrainConfig(model="m", corpus=("c",), **settings), windows, 100, adapter)
    trainer.passes.record = record
    return trainer


def losses(trainer: Trainer, steps: int) -> list[float]:
    results = [list(trainer.run_step())[-1] for _ in range(steps)]
    return [result.loss for result in results if isinstance(result, StepResult)]


@pytest.mark.parametrize(
    ("base", "corpus", "packing", "twice"),
    [("fp32", CHAT, False, False), ("fp32", PLAIN, True, True), ("nf4", CHAT, True, False), ("nf4", PLAIN, True, True)],
)
def test_the_curve_is_the_same(
    base: str, corpus: str, packing: bool, twice: bool, fixtures_dir: Path, cache: Path
) -> None:
    lm = load(fixtures_dir / "models" / "stories260K", base, "cpu")
    windows = windows_of(lm, fixtures_dir, cache, corpus, packing)
    recorder = RecorderOnCpu()
    expected = losses(trainer_of(lm, windows, None), 8)
    recorded = trainer_of(lm, windows, recorder, checkpoint_activations=twice)
    assert losses(recorded, 8) == pytest.approx(expected, rel=1e-4)
    assert 1 <= recorder.recorded <= MOST
    assert recorder.replayed >= 8  # of 16 passes
    assert expected[-1] < expected[0]


def test_what_a_pass_adds_is_what_it_would_add_as_it_is_written(fixtures_dir: Path, cache: Path) -> None:
    lm = load(fixtures_dir / "models" / "stories260K", "fp32", "cpu")
    windows = windows_of(lm, fixtures_dir, cache, CHAT)
    trainer = trainer_of(lm, windows, RecorderOnCpu())
    for lora in trainer.adapter.layers.values():  # type: ignore[union-attr]
        lora.b.detach().normal_(std=0.05, generator=torch.Generator().manual_seed(1))
    plain = Passes(lm.model, tuple(trainer.named.values()), None)
    for number in range(4):  # written, recorded and replayed, replayed
        batch, scale = windows.batch([number, number + 4]), 0.01 * (number + 1)
        with lm.using(trainer.adapter):
            trainer.optimizer.zero_grad()
            expected_loss = float(plain(batch, scale))
            expected = [tensor.grad.clone() for tensor in trainer.named.values()]  # type: ignore[union-attr]
            trainer.optimizer.zero_grad()
            trainer.passes.begin()
            loss = float(trainer.passes(batch, scale))
        assert loss == pytest.approx(expected_loss, rel=1e-5)
        for tensor, gradient in zip(trainer.named.values(), expected, strict=True):
            torch.testing.assert_close(tensor.grad, gradient, rtol=1e-4, atol=1e-7)


def test_an_answer_between_two_passes_changes_nothing(fixtures_dir: Path, cache: Path) -> None:
    lm = load(fixtures_dir / "models" / "stories260K", "nf4", "cpu")
    windows = windows_of(lm, fixtures_dir, cache, PLAIN)
    expected = losses(trainer_of(lm, windows, RecorderOnCpu()), 5)
    trainer, found = trainer_of(lm, windows, RecorderOnCpu()), []
    for _ in range(5):
        for result in trainer.run_step():
            with torch.no_grad():
                lm.model(torch.tensor([[1, 5, 9]]))
            found += [result.loss] if result else []
    assert found == expected


class Refusing(RecorderOnCpu):
    def __call__(self, work: Any) -> Replay:
        raise CannotRecord("this box records nothing")


def test_what_cannot_be_recorded_is_told_once_and_trained_all_the_same(fixtures_dir: Path, cache: Path) -> None:
    lm = load(fixtures_dir / "models" / "stories260K", "fp32", "cpu")
    windows = windows_of(lm, fixtures_dir, cache, PLAIN)
    trainer = trainer_of(lm, windows, Refusing())
    assert losses(trainer, 4) == pytest.approx(losses(trainer_of(lm, windows, None), 4), rel=1e-4)
    assert trainer.passes.told() == "this box records nothing" and not trainer.passes.told()


def test_asking_the_device_while_recording_is_refused() -> None:
    """So a pass that is recorded in these tests asks nothing."""
    x = torch.ones(3)
    with pytest.raises(CannotRecord, match="not permitted"):
        RecorderOnCpu()(lambda: x.sum().item())


def test_graphs_given_back_are_recorded_anew(fixtures_dir: Path, cache: Path) -> None:
    lm = load(fixtures_dir / "models" / "stories260K", "fp32", "cpu")
    windows = windows_of(lm, fixtures_dir, cache, PLAIN)
    recorder = RecorderOnCpu()
    trainer = trainer_of(lm, windows, recorder)
    found = losses(trainer, 3)
    before = recorder.recorded
    trainer.optimizer.zero_grad()
    trainer.passes.forget()
    found += losses(trainer, 3)
    assert found == pytest.approx(losses(trainer_of(lm, windows, None), 6), rel=1e-4)
    assert recorder.recorded > before


def test_the_host_computes_where_chance_is_drawn_there(fixtures_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("loralab_core.training.trainer.recorder", lambda device: RecorderOnCpu())
    lm = load(fixtures_dir / "models" / "stories260K", "fp32", "cpu")
    one = Windows.__new__(Windows)

    def records(**changes: Any) -> bool:
        settings = {"batch": 4, "capture": True, **changes}
        adapter = create_adapter(lm.model, rank=4, alpha=8, dropout=settings.pop("dropout", 0.0))
        trainer = Trainer(lm, TrainConfig(model="m", corpus=("c",), **settings), one, 1, adapter)
        return trainer.passes.record is not None

    assert records()
    assert not records(dropout=0.1)
    assert not records(capture=False)


def test_shapes_repeat(fixtures_dir: Path, cache: Path) -> None:
    """Chat rows packed at random come in few shapes: most passes of a run are replays."""
    lm = load(fixtures_dir / "models" / "stories260K", "fp32", "cpu")
    windows = windows_of(lm, fixtures_dir, cache, CHAT)
    chosen = np.random.default_rng(0).integers(len(windows), size=(60, 4))
    shapes = Counter(to_device(windows.batch(rows), lm.model, alike=True).shape for rows in chosen)
    assert sum(count for _, count in shapes.most_common(MOST)) > 0.8 * len(chosen)
