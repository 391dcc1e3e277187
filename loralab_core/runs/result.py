"""What a run has made so far, and copying it out of the run."""

import os
import shutil
from pathlib import Path
from typing import NamedTuple

from loralab_core.errors import BadInput, LoraLabError, explain_os_error
from loralab_core.files import write_directory_atomic
from loralab_core.runs.checkpoints import TRAINING_STATE, latest_checkpoint
from loralab_core.runs.directory import RunDirectory, find_run
from loralab_core.runs.events import read
from loralab_core.runs.history import ending

MARKS = {"adapter": "adapter_config.json", "model": "model.safetensors"}  # the file that tells what a directory holds


class Result(NamedTuple):
    kind: str  # "adapter" or "model"
    place: Path
    step: int | None  # it has learned for; None where the end of the run did not say


def newest_result(run: RunDirectory) -> Result:
    """The adapter or model of an ended run; of a running, interrupted or failed one that of its newest checkpoint.

    BadInput if there is neither.
    """
    ended = ending(read(run.events_path))
    if ended is not None and ended["event"] != "failed":  # a failed one may have an older result beside its checkpoints
        for kind, place in (("model", run.model), ("adapter", run.adapter)):
            if place.is_dir():
                return Result(kind, place, ended.get("steps"))
    if checkpoint := latest_checkpoint(run.checkpoints):
        for kind, mark in MARKS.items():
            if (checkpoint.path / mark).is_file():
                return Result(kind, checkpoint.path, checkpoint.step)
    raise BadInput(f"{run.path} has no result yet: its first checkpoint is still to come")


def find_adapter(text: str) -> Path:
    """A PEFT directory as it is; a run (path, id or `last`) means its newest adapter. BadInput for anything else."""
    path = Path(os.path.expanduser(text)).absolute()  # a run's name may begin with ~
    if (path / MARKS["adapter"]).is_file():
        return path
    if path.is_dir() and not (path / "run.json").is_file():
        raise BadInput(f"{path} is not an adapter: it has no {MARKS['adapter']}")
    try:
        run = find_run(text)
    except BadInput:
        raise BadInput(f"{text} is neither an adapter directory nor a run") from None
    result = newest_result(run)
    if result.kind == "model":
        raise BadInput(f"{text} trained all weights and made no adapter; use --model {result.place} instead")
    return result.place


def export_result(run: RunDirectory, folder: Path) -> Result:
    """Copy the newest result to `folder`, which must not exist; all of it appears at once.

    BadInput if there is nothing yet or `folder` exists; LoraLabError when the disk refuses.
    """
    result = newest_result(run)
    if folder.exists():
        raise BadInput(f"{folder} exists already; name a new folder")
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        write_directory_atomic(folder, lambda place: _copy(result, place))
    except OSError as error:
        raise LoraLabError(explain_os_error(error, f"export to {folder}")) from error
    return result


def _copy(result: Result, place: Path) -> None:
    shutil.copytree(result.place, place, ignore=shutil.ignore_patterns(*TRAINING_STATE), dirs_exist_ok=True)
