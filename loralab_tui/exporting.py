"""Copying a run's adapter to where its user wants it."""

import shutil
from pathlib import Path

from loralab_core.errors import BadInput, LoraLabError, explain_os_error
from loralab_core.files import write_directory_atomic
from loralab_core.paths import adapters_dir
from loralab_core.runs.checkpoints import latest_checkpoint
from loralab_core.runs.directory import RunDirectory

ADAPTER_FILES = ("adapter_config.json", "adapter_model.safetensors")


def source_of(run: Path, finished: bool) -> tuple[str, Path]:
    """What there is to export, in words, and its directory: a finished run's adapter, or the newest checkpoint's."""
    directory = RunDirectory(run)
    if finished and (directory.adapter / ADAPTER_FILES[0]).is_file():
        return "The adapter of this run", directory.adapter
    newest = latest_checkpoint(directory.checkpoints)
    if newest is None:
        raise BadInput("there is nothing to export yet: the first checkpoint has not been written")
    holder = next((file.parent for file in newest.path.rglob(ADAPTER_FILES[0])), None)
    if holder is None:
        raise BadInput(f"{newest.path} holds no adapter to export")
    return f"The adapter as of step {newest.step}", holder


def proposed_target(run: Path) -> Path:
    """A place of its own below LORALAB_HOME, numbered when the first is taken."""
    names = [run.name, *(f"{run.name}-{number}" for number in range(2, 100))]
    return next((adapters_dir() / name for name in names if not (adapters_dir() / name).exists()), adapters_dir())


def check_target(text: str) -> Path:
    """BadInput for a place that is in use: an export never replaces anything."""
    if not text.strip():
        raise BadInput("name a directory to export to")
    target = Path(text.strip()).expanduser().absolute()
    if target.is_file() or (target.is_dir() and any(target.iterdir())):
        raise BadInput(f"{target} exists and is not empty; name a new directory")
    return target


def copy_adapter(source: Path, target: Path) -> None:
    """All of it appears at `target` or nothing does. LoraLabError when the disk refuses."""

    def fill(place: Path) -> None:
        for name in ADAPTER_FILES:
            shutil.copy2(source / name, place / name)

    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        write_directory_atomic(target, fill)
    except OSError as error:
        raise LoraLabError(explain_os_error(error, f"export to {target}")) from error
