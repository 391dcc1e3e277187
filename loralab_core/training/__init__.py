"""The training loop: a generator of events over real gradients. Names are handed on lazily: a step needs no corpus."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from loralab_core.training.here import resume, train
    from loralab_core.training.loop import Training
    from loralab_core.training.tick import TICK

_HOMES = {"TICK": "tick", "Training": "loop", "resume": "here", "train": "here"}

__all__ = ["TICK", "Training", "resume", "train"]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
