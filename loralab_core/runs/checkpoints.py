"""The checkpoints of a run: which are whole, which is best, which may go."""

import os
import re
import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

from loralab_core.files import sync_directory

TRAINING_STATE = ("optimizer.safetensors", "state.json")  # what a checkpoint holds beside its adapter or model
_NAME = re.compile(r"step-(\d{6,})")
_OWNERS = r"step-\d{6,}|adapter|model|run\.json|engine\.pid|\.engine\.json"  # nobody but a run's owner writes these
_LEFTOVER = re.compile(rf"\.({_OWNERS})\..*(tmp|deleted)")


class Checkpoint(NamedTuple):
    step: int
    path: Path


def checkpoint_path(checkpoints: Path, step: int) -> Path:
    return checkpoints / f"step-{step:06d}"


def list_checkpoints(checkpoints: Path) -> list[Checkpoint]:
    """Complete checkpoints by step. A name of this form is only ever given to a finished directory."""
    if not checkpoints.is_dir():
        return []
    matches = ((_NAME.fullmatch(path.name), path) for path in checkpoints.iterdir())
    return sorted(Checkpoint(int(match[1]), path) for match, path in matches if match)


def latest_checkpoint(checkpoints: Path) -> Checkpoint | None:
    found = list_checkpoints(checkpoints)
    return found[-1] if found else None


def best_checkpoint(checkpoints: Path, events: Iterable[dict[str, Any]]) -> Checkpoint | None:
    """The one with the lowest validation loss among those that exist (`events`: the live ones); None without any."""
    losses = validation_losses(events)
    scored = [(losses[one.step], one) for one in list_checkpoints(checkpoints) if one.step in losses]
    return min(scored)[1] if scored else None


def validation_losses(events: Iterable[dict[str, Any]]) -> dict[int, float]:
    """Step → validation loss; evaluations that gave no number are left out."""
    evals = (event for event in events if event["event"] == "eval")
    return {event["step"]: event["loss"] for event in evals if event.get("loss") is not None}


def retire_checkpoints(checkpoints: Path, keep: int, events: Iterable[dict[str, Any]] = ()) -> list[int]:
    """Delete all but the newest `keep` and the best one; returns the deleted steps. Raises OSError."""
    found = list_checkpoints(checkpoints)
    best = best_checkpoint(checkpoints, events)
    retired = [one for one in found[: max(0, len(found) - keep)] if one != best]
    for one in retired:
        delete_checkpoint(one)
    return [one.step for one in retired]


def delete_checkpoint(checkpoint: Checkpoint) -> None:
    """First it loses its name, then its files: half a checkpoint can never be taken for a whole one."""
    path = checkpoint.path
    grave = path.with_name(f".{path.name}.deleted")
    shutil.rmtree(grave, ignore_errors=True)
    os.rename(path, grave)
    sync_directory(path.parent)
    shutil.rmtree(grave)


def clear_leftovers(directory: Path) -> None:
    """Remove what a killed writer or deleter left. Only for the process that owns the run."""
    for path in directory.iterdir() if directory.is_dir() else ():
        if _LEFTOVER.fullmatch(path.name):
            shutil.rmtree(path, ignore_errors=True) if path.is_dir() else path.unlink(missing_ok=True)
