"""The events of a run: what each says of the trainer at that moment. Units are the contract's (docs/runs.md)."""

import json
import math
import time
import traceback
from contextlib import suppress
from typing import Any

import torch

from loralab_core.errors import LoraLabError, OutOfMemory
from loralab_core.runs.checkpoints import latest_checkpoint
from loralab_core.runs.config import TrainConfig
from loralab_core.runs.directory import RunDirectory
from loralab_core.runs.events import Event
from loralab_core.training.checkpoint import STATE
from loralab_core.training.memory import peak_bytes
from loralab_core.training.prepare import Prepared
from loralab_core.training.trainer import StepResult, Trainer

SMOOTHING = 0.9  # of the seconds a step takes, for the ETA


class Clock:
    """Wall time since the first step, earlier sittings included, and how long a step takes lately."""

    def __init__(self, trainer: Trainer):
        self.trainer, self.before = trainer, trainer.seconds
        self.began = self.last = time.perf_counter()
        self.step_seconds = 0.0

    def go_on(self) -> None:
        """The step under way is timed from now on."""
        self.last = time.perf_counter()

    def leave_out(self, began: float) -> None:
        """What was done since `began` is no part of the step under way."""
        now = time.perf_counter()
        self.last = min(now, self.last + now - began)  # now: where a pause was left out already

    def tick(self) -> None:
        now = time.perf_counter()
        share = SMOOTHING if self.step_seconds else 0.0
        self.step_seconds = share * self.step_seconds + (1 - share) * (now - self.last)
        self.last = now
        self.trainer.seconds = self.before + now - self.began


def step_event(trainer: Trainer, result: StepResult, clock: Clock) -> Event:
    batch = trainer.config.batch
    return {
        "event": "step",
        "step": trainer.step,
        "loss": result.loss,
        "epoch": trainer.step * batch / len(trainer.windows),
        "tokens": trainer.tokens,
        "tokens_per_s": result.tokens / result.seconds,
        "lr": result.lr,
        "eta_s": clock.step_seconds * (trainer.steps - trainer.step),
        "memory_bytes": peak_bytes(trainer.lm.device),
        "grad_norm": result.grad_norm,
        "fill": result.tokens / (batch * (trainer.config.seq_len or 1)),
        **({"loss_scale": result.loss_scale} if trainer.loss_scale.is_needed else {}),
    }


def prepared_event(trainer: Trainer, prepared: Prepared) -> Event:
    return {
        "event": "prepared",
        "step": trainer.step,
        "steps": trainer.steps,
        "batch": prepared.config.batch,
        "micro_batch": trainer.micro_batch,
        "seq_len": prepared.config.seq_len,
        "base": prepared.config.base,
        "trainable_params": trainer.parameter_count,
        "windows": len(prepared.training),
        "fill": prepared.training.fill,
        "corpus": prepared.corpus.format,
        "notes": [*prepared.corpus.notes, *_start(prepared.config), *_slow(prepared.config)],
    }


def _start(config: TrainConfig) -> list[str]:
    if config.mode == "full" or not config.from_adapter:
        return []
    shape = f"rank {config.rank}, alpha {config.alpha:g}, dropout {config.dropout:g}, {config.targets}"
    return [f"starts from {config.from_adapter} and keeps its shape: {shape}"]


def _slow(config: TrainConfig) -> list[str]:
    if config.base != "fp16" or config.device != "cpu":
        return []
    return ["fp16 is for GPUs without bf16; on a processor PyTorch's own operators compute in it, slower than ours"]


def eval_event(step: int, loss: float) -> Event:
    perplexity = math.exp(loss) if loss < 700 else math.inf
    return {"event": "eval", "step": step, "loss": loss, "perplexity": perplexity}


def final_event(kind: str, run: RunDirectory, trainer: Trainer | None, device: torch.device, why: str) -> Event:
    """`kind`: done, stopped or failed."""
    event: Event = {
        "event": kind,
        "run": str(run.path),
        "adapter": str(run.adapter) if run.adapter.is_dir() else None,
        **(_counted(trainer) if trainer else so_far(run)),
        "peak_memory_bytes": peak_bytes(device),
    }
    if run.model.is_dir():
        event["model"] = str(run.model)
    return {**event, "why": why} if why else event


def _counted(trainer: Trainer) -> dict[str, Any]:
    return {"steps": trainer.step, "tokens": trainer.tokens, "seconds": trainer.seconds}


def so_far(run: RunDirectory) -> dict[str, Any]:
    """As `_counted` where there is no trainer yet: up to the checkpoint from which the run would go on."""
    checkpoint, state = latest_checkpoint(run.checkpoints), {}
    if checkpoint:
        with suppress(OSError, ValueError):
            state = json.loads((checkpoint.path / STATE).read_text(encoding="utf-8"))
    steps = checkpoint.step if checkpoint else 0
    return {"steps": steps, "tokens": state.get("tokens", 0), "seconds": state.get("seconds", 0.0)}


def failure_facts(error: Exception) -> dict[str, Any]:
    """What programs want to know of an error beside its sentence: `kind`, and settings that would help."""
    if isinstance(error, OutOfMemory):
        return {"kind": error.kind, "remedies": error.remedies}
    return {"kind": error.kind if isinstance(error, LoraLabError) else "failed"}


def explain(error: Exception, run: RunDirectory) -> str:
    """One sentence for the user; what nobody foresaw goes to the run's log.txt in full."""
    if isinstance(error, LoraLabError):
        return str(error)
    sentence = f"an unexpected error, {type(error).__name__}: {error}"
    try:
        with run.log_path.open("a", encoding="utf-8") as file:
            file.write("".join(traceback.format_exception(error)))
    except OSError:  # a full disk may be what all this is about
        traceback.print_exception(error)
        return sentence
    return f"{sentence}; the details are in {run.log_path}"
