"""What the arithmetic depends on besides the settings: recorded before step 1, compared when a run is resumed."""

from typing import Any

import torch

import loralab_core
from loralab_core.runs.config import TrainConfig

DEFAULT_THREADS = torch.get_num_threads()  # before any run of this process asked for another number


def set_up_arithmetic(config: TrainConfig, threads: int | None = None) -> None:
    """Threads and determinism as asked; `threads` (of the run being resumed) goes before the default."""
    torch.set_num_threads(config.threads or threads or DEFAULT_THREADS)
    if config.deterministic != torch.are_deterministic_algorithms_enabled():  # asking imports torch's compiler: 1 s
        torch.use_deterministic_algorithms(config.deterministic, warn_only=True)


def environment(device: torch.device) -> dict[str, Any]:
    """Facts that may change the last digit of a result."""
    return {
        "loralab": loralab_core.__version__,
        "torch": str(torch.__version__),
        "threads": torch.get_num_threads(),
        "isa": torch.backends.cpu.get_cpu_capability(),
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else device.type,
        "kernels": "reference",
    }


def differences(before: dict[str, Any], now: dict[str, Any]) -> str:
    """ "threads were 2 and are 1, torch was …" or an empty text."""
    changed = [key for key in now if key in before and before[key] != now[key]]
    return ", ".join(f"{key} was {before[key]} and is {now[key]}" for key in changed)
