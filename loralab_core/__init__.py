"""LoRA Lab: fine-tuning with adapters on a quantised base. Names are handed on lazily, so that this stays light."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from loralab_core.inference import generate, generate_batch
    from loralab_core.lora import LoadedModel, load
    from loralab_core.runs.config import TrainConfig
    from loralab_core.training import resume, train

_HOMES = {
    "LoadedModel": "loralab_core.lora",
    "TrainConfig": "loralab_core.runs.config",
    "generate": "loralab_core.inference",
    "generate_batch": "loralab_core.inference",
    "load": "loralab_core.lora",
    "resume": "loralab_core.training",
    "train": "loralab_core.training",
}

__all__ = ["LoadedModel", "TrainConfig", "generate", "generate_batch", "load", "resume", "train"]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'loralab_core' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)
