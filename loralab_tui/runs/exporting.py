"""Where a run's result is exported to, and what that is in words."""

import os
from pathlib import Path
from typing import NamedTuple

from loralab_core.errors import BadInput
from loralab_core.paths import adapters_dir, expand_user
from loralab_core.runs.directory import RunDirectory
from loralab_core.runs.result import Result, newest_result

LOADED_BY = {"adapter": "PEFT", "model": "Transformers"}  # which reads the layout of such a result


class Offer(NamedTuple):
    kind: str  # "adapter" or "model"
    what: str  # that would be exported, in words
    target: Path

    @property
    def sentence(self) -> str:
        layout = f"in the layout that {LOADED_BY[self.kind]} and other programs load"
        return f"{self.what} is copied to this directory, {layout}."


def offer(run: RunDirectory) -> Offer:
    """Raises LoraLabError. Reads files: for a thread."""
    result = newest_result(run)
    return Offer(result.kind, describe(result), proposed_target(run.path))


def describe(result: Result) -> str:
    what = "The adapter" if result.kind == "adapter" else "The model"
    return f"{what} of this run" if result.step is None else f"{what} as of step {result.step}"


def proposed_target(run: Path) -> Path:
    """A place of its own below LORALAB_HOME, numbered when the first is taken."""
    names = [run.name, *(f"{run.name}-{number}" for number in range(2, 100))]
    return next((adapters_dir() / name for name in names if not (adapters_dir() / name).exists()), adapters_dir())


def check_target(text: str) -> Path:
    """BadInput for a place that is in use: an export never replaces anything."""
    if not text.strip():
        raise BadInput("name a directory to export to")
    target = os.path.abspath(expand_user(text.strip()))
    if os.path.lexists(target):
        raise BadInput(f"{target} exists already; name a new directory")
    return Path(target)
