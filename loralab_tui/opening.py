"""From a model's name to an engine that listens: the blocking part, run in a thread."""

from collections.abc import Callable
from pathlib import Path

from loralab_core.architecture.counts import parameter_count
from loralab_core.architecture.families import read_config
from loralab_core.catalog.hub import resolve_model
from loralab_core.hardware.devices import resolve_base, resolve_device
from loralab_core.runs.directory import RunDirectory, list_runs
from loralab_core.runs.owner import owner
from loralab_core.wire.launch import ensure_engine
from loralab_core.wire.registry import find_by_pid

Progress = Callable[[int, int, str], None]


def open_engine(model: str, base: str, device: str, progress: Progress) -> Path:
    """The socket of an engine for `model`; downloads and starts what is missing. Raises LoraLabError."""
    directory = resolve_model(model, progress)
    place = resolve_device(device)
    precision = resolve_base(base, place, parameter_count(read_config(directory)))
    return ensure_engine(str(directory), precision, place)


def live_run() -> str:
    """The name of the newest run that is being trained on this computer now; empty if there is none."""
    for run, record in reversed(list_runs()):
        process = owner(run)
        if process is not None and process.is_here:
            return record.name or record.id
    return ""


def engine_of(run: RunDirectory) -> Path | None:
    """The socket of the engine that trains `run` at this moment, if one does here."""
    process = owner(run)
    record = find_by_pid(process.pid) if process is not None and process.is_here else None
    return Path(record.socket) if record is not None else None
