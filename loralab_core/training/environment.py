"""What the arithmetic depends on besides the settings: recorded before step 1, compared when a run is resumed."""

from typing import Any

import torch

import loralab_core
from loralab_core.lora.loaded import LoadedModel
from loralab_core.models.incoming import Recipe
from loralab_core.ops.metal.library import metal
from loralab_core.ops.native import choice, choice_gpu
from loralab_core.ops.native.choice import Table
from loralab_core.ops.native.gpu import native_gpu
from loralab_core.ops.native.library import native
from loralab_core.runs.config import TrainConfig
from loralab_core.runs.numerics import QUANTISED

WORTH_MEASURING = 50_000_000  # parameters: a smaller model has learned something before the measurement has ended
DEFAULT_THREADS = torch.get_num_threads()  # before any run of this process asked for another number


def set_up_arithmetic(config: TrainConfig, threads: int | None = None) -> None:
    """Threads and determinism as asked; `threads` (of the run being resumed) goes before the default."""
    torch.set_num_threads(config.threads or threads or DEFAULT_THREADS)
    if config.deterministic != torch.are_deterministic_algorithms_enabled():  # asking imports torch's compiler: 1 s
        torch.use_deterministic_algorithms(config.deterministic, warn_only=True)


def set_up_kernels(base: str, device: torch.device, recorded: Table | None, parameters: int) -> None:
    """For a quantised base: the paths of the run being resumed, or those that were measured here."""
    worth = parameters >= WORTH_MEASURING
    if base in QUANTISED and device.type == "cpu":
        choice.settle(recorded, worth=worth)
    elif base in QUANTISED and device.type == "cuda":
        choice_gpu.settle(device.index or 0, recorded, worth=worth)


def paths_in_use(base: str, device: torch.device) -> Table:
    """Which kernel multiplies at which size; empty where none is compiled, measured or needed."""
    if base in QUANTISED and device.type == "cuda":
        return choice_gpu.table_in_use(device.index or 0)
    return choice.table_in_use() if base in QUANTISED and device.type == "cpu" else {}


def environment(lm: LoadedModel) -> dict[str, Any]:
    """Facts that may change the last digit of a result."""
    device, base = lm.device, lm.base
    facts = {
        "loralab": loralab_core.__version__,
        "torch": str(torch.__version__),
        "threads": torch.get_num_threads(),
        "isa": torch.backends.cpu.get_cpu_capability(),
        "activations": str(lm.model.dtype).removeprefix("torch."),
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else device.type,
        "kernels": _kernels(device) if base in QUANTISED or device.type == "cuda" else "reference",
    }
    return facts | ({"quantised": Recipe.of(base).name} if base in QUANTISED else {})


def _kernels(device: torch.device) -> str:
    if device.type == "cuda":
        return str(native_gpu(device.index or 0))
    return str(metal() if device.type == "mps" else native())


def differences(before: dict[str, Any], now: dict[str, Any]) -> str:
    """ "threads were 2 and are 1, torch was …" or an empty text."""
    changed = [key for key in now if key in before and before[key] != now[key]]
    return ", ".join(f"{key} was {before[key]} and is {now[key]}" for key in changed)
