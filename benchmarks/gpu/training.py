"""A LoRA on every projection: one optimiser step of full windows, ours and that of transformers + peft, in one run.

Windows are packed: full, each one document of random tokens. Both peers train the same shapes, rank and tokens.
"""

import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from benchmarks.gpu import peers
from benchmarks.gpu.half import name_of
from benchmarks.gpu.models import random_model
from benchmarks.gpu.profile import in_words, where_time_goes
from benchmarks.gpu.rows import figure, gap
from benchmarks.gpu.sizes import Sizes
from benchmarks.parts import Row
from loralab_core.device_memory import give_back
from loralab_core.hardware.exhaustion import is_out_of_memory
from loralab_core.lora.adapter import create_adapter
from loralab_core.lora.loaded import LoadedModel
from loralab_core.text.packing import Windows
from loralab_core.text.pieces import Pieces
from loralab_core.training.memory import peak_bytes, reset_peak
from loralab_core.training.trainer import StepResult, Trainer

PUBLISHED = {"qwen3-0.6b": 18_300, "qwen3-1.7b": 18_300, "qwen3-4b": 12_100, "qwen3-8b": 8_400}  # Unsloth, NF4, H200
PEAK_GB = {"qwen3-8b": (14.0, 9.0)}  # of NF4: must, reach
LEAN = "captured, activations twice"
WAYS: dict[str, dict[str, bool]] = {
    "eager": {"capture": False},
    "captured": {"capture": True},
    LEAN: {"capture": True, "checkpoint_activations": True},
}
NO_GRAPHS = "this device records no graphs"
ALL = 1 << 20  # steps that the schedule is told of: it stays where it is

Step = Callable[[], float]


@dataclass(frozen=True)
class Settings:
    """What a Trainer looks at, by the names and with the defaults of TrainConfig, which needs a package boxes lack."""

    batch: int
    micro_batch: int
    compute: str = "auto"
    optimizer: str = "adamw"
    lr: float = 2e-4
    schedule: str = "constant"
    warmup: int = 0
    weight_decay: float = 0.0
    beta1: float = 0.9
    beta2: float = 0.999
    eps: float = 1e-8
    clip: float | None = 1.0
    checkpoint_activations: bool = False
    capture: bool = True
    seed: int = 0


def measure(name: str, device: torch.device, sizes: Sizes) -> Iterator[Row]:
    """NF4, then the base in 16 bits, each in every way, then transformers + peft on that."""
    config, speeds = sizes.config(name), dict[str, float]()
    for base in ("nf4", name_of(device)):
        try:
            lm = random_model(config, base, device)
        except Exception as error:
            yield {"what": base, "why": _reason(error, device), "ok": is_out_of_memory(error)}
            continue
        for how in WAYS:
            rows = list(_way(name, lm, how, sizes))
            speeds[base] = max(speeds.get(base, 0.0), rows[0].get("value") or 0.0)
            yield from rows
        del lm
        give_back(device)
    if name in PUBLISHED and speeds.get("nf4") and device.type == "cuda":
        ratio = speeds["nf4"] / PUBLISHED[name]
        yield figure(f"nf4 against Unsloth's published {PUBLISHED[name]:,} (H200)", ratio, "×", reach=1.5)
    yield from _peer(config, speeds, device, sizes)


def _way(name: str, lm: LoadedModel, how: str, sizes: Sizes) -> Iterator[Row]:
    """First of all its speed, or why there is none."""
    label, settings = f"{lm.base}, {how}", WAYS[how]
    if settings["capture"] and lm.device.type != "cuda":
        yield gap(label, NO_GRAPHS)
        return
    try:
        found = _ours(lm, sizes, settings)
    except Exception as error:
        yield {"what": label, "why": _reason(error, lm.device), "ok": is_out_of_memory(error)}
        return
    yield figure(label, found["tokens/s"], "tokens/s", **found)
    yield {"what": f"{label}: where the time goes", "note": in_words(found["profile"])}
    yield _memory(name, lm.base, how, found)


def _memory(name: str, base: str, how: str, found: dict[str, Any]) -> Row:
    """Judged where memory is what one wants to save."""
    must, reach = PEAK_GB.get(name, (None, None)) if (base, how) == ("nf4", LEAN) else (None, None)
    return figure(f"{base}, {how}: peak memory", found["peak bytes"] / 1e9, "GB", must=must, reach=reach, low=True)


def _peer(config: dict[str, Any], speeds: dict[str, float], device: torch.device, sizes: Sizes) -> Iterator[Row]:
    dense, bounds = name_of(device), {"must": 2.0, "reach": 4.0}
    try:
        found = timed(peers.training_step(config, device, sizes, token_ids(config, sizes)), device, sizes)
    except Exception as error:
        yield gap(f"{dense} against transformers + peft", f"no peer: {_reason(error, device)}", **bounds)
        return
    yield figure(f"transformers + peft, {dense}", found["tokens/s"], "tokens/s", **found)
    yield figure(f"transformers + peft, {dense}: peak memory", found["peak bytes"] / 1e9, "GB")
    for base, speed in speeds.items():
        if not speed:
            continue
        ours = bounds if base == dense else {}
        yield figure(f"{base} against transformers + peft on {dense}", speed / found["tokens/s"], "×", **ours)


def _reason(error: Exception, device: torch.device) -> str:
    """In a line; the memory of what failed is given back."""
    why = "out of memory" if is_out_of_memory(error) else peers.reason(error)
    give_back(device, error)
    return why


def _ours(lm: LoadedModel, sizes: Sizes, settings: dict[str, bool]) -> dict[str, Any]:
    step = make_step(lm, sizes, **settings)
    found = timed(step, lm.device, sizes)
    found["profile"] = where_time_goes(step, lm.device, found["median seconds"])
    del step
    give_back(lm.device)
    return found


def timed(step: Step, device: torch.device, sizes: Sizes) -> dict[str, Any]:
    """Median tokens per second and the peak of memory of a step that was warmed up; its losses."""
    reset_peak(device)
    losses = [step() for _ in range(sizes.warm_up)]
    seconds = []
    for _ in range(sizes.steps):
        synchronize(device)
        began = time.perf_counter()
        losses.append(step())
        synchronize(device)
        seconds.append(time.perf_counter() - began)
    median = statistics.median(seconds)
    return {
        "tokens/s": sizes.batch * sizes.window / median,
        "median seconds": median,
        "seconds of a step": [round(each, 5) for each in seconds],
        "peak bytes": peak_bytes(device),
        "losses": losses,
    }


def make_step(lm: LoadedModel, sizes: Sizes, **how: bool) -> Step:
    """One optimiser step of `batch` full windows, by the trainer that runs have; gives its loss.

    Of captured steps the first is computed as it is written, the second recorded.
    """
    windows = full_windows(token_ids(lm.model.config.vocab_size, sizes))
    settings: Any = Settings(batch=sizes.batch, micro_batch=sizes.batch, **how)
    adapter = create_adapter(lm.model, rank=sizes.rank, alpha=2.0 * sizes.rank)
    trainer = Trainer(lm, settings, windows, ALL, adapter)

    def step() -> float:
        *_, result = trainer.run_step()
        assert isinstance(result, StepResult)
        if result.skipped:
            raise RuntimeError("the gradient is not finite")
        if why := trainer.passes.told():
            raise RuntimeError(f"no graph could be recorded: {why}")
        return result.loss

    return step


def token_ids(config: dict[str, Any] | int, sizes: Sizes) -> np.ndarray:
    """[batch, window], the same for every peer."""
    vocabulary = config if isinstance(config, int) else config["vocab_size"]
    return np.random.default_rng(1).integers(0, vocabulary, (sizes.batch, sizes.window))


def full_windows(ids: np.ndarray) -> Windows:
    count, length = ids.shape
    numbers = np.arange(count)
    trained = np.ones(ids.size, np.uint8)
    pieces = Pieces(ids.reshape(-1), trained, numbers * length, np.full(count, length), numbers)
    return Windows(pieces, length, numbers, np.arange(count + 1))


def synchronize(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
