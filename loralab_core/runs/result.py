"""What a run has made so far, and copying it out of the run."""

import shutil
from pathlib import Path
from typing import NamedTuple

from loralab_core.errors import BadInput, LoraLabError, explain_os_error
from loralab_core.files import write_directory_atomic
from loralab_core.runs.checkpoints import latest_checkpoint
from loralab_core.runs.directory import RunDirectory
from loralab_core.runs.events import read
from loralab_core.runs.summary import ending

ADAPTER_FILES = ("adapter_config.json", "adapter_model.safetensors")


class Result(NamedTuple):
    kind: str  # "adapter" or "model"
    place: Path
    step: int | None  # of the checkpoint it is from; None: the run's end


def newest_result(run: RunDirectory) -> Result:
    """The adapter or model of an ended run; of a running or interrupted one its newest checkpoint's adapter.

    BadInput if there is neither.
    """
    if ending(read(run.events_path)) is not None:
        for kind, place in (("model", run.model), ("adapter", run.adapter)):
            if place.is_dir():
                return Result(kind, place, None)
    checkpoint = latest_checkpoint(run.checkpoints)
    if checkpoint is not None and (checkpoint.path / ADAPTER_FILES[0]).is_file():
        return Result("adapter", checkpoint.path, checkpoint.step)
    raise BadInput(f"{run.path} has nothing to export yet; its first checkpoint makes an adapter")


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
    if result.step is None:
        shutil.copytree(result.place, place, dirs_exist_ok=True)
        return
    for name in ADAPTER_FILES:  # a checkpoint holds more: the optimiser and where the run stood
        shutil.copyfile(result.place / name, place / name)
