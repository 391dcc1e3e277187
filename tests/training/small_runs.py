"""Small real runs for the tests: the 260K model on a short public-domain story."""

from pathlib import Path
from typing import Any

from loralab_core.lora.loaded import LoadedModel
from loralab_core.runs.config import TrainConfig
from loralab_core.runs.directory import RunDirectory
from loralab_core.runs.events import Event
from loralab_core.training import TICK, Training


def small(fixtures: Path, **changes: Any) -> TrainConfig:
    settings: dict[str, Any] = {
        "model": str(fixtures / "models" / "stories260K"),
        "corpus": (str(fixtures / "corpora" / "the-verdict.txt"),),
        "base": "fp32",
        "device": "cpu",
        "rank": 4,
        "alpha": 8.0,
        "lr": 5e-3,
        "schedule": "constant",
        "batch": 4,
        "seq_len": 64,
        "steps": 12,
        "val": 0.02,
        "save_every": 5,
        "threads": 1,
    }
    return TrainConfig(**{**settings, **changes})


def adapter_bytes(done: Event) -> bytes:
    return (Path(done["adapter"]) / "adapter_model.safetensors").read_bytes()


def losses(events: list[Event], kind: str = "step") -> list[float]:
    return [event["loss"] for event in events if event["event"] == kind]


def stopped_after(lm: LoadedModel, run: RunDirectory, step: int) -> Event:
    training, last = Training(run, lm), TICK
    for event in training.events():
        last = event
        if training.step == step:
            training.stop("stopped by the test")
    return last
