"""From a model's name to an engine that listens: the blocking part, run in a thread.

What starts processes is imported when it is needed: the first paint is sooner.
"""

from collections.abc import Callable
from pathlib import Path

from loralab_core.runs.directory import RunDirectory
from loralab_core.runs.owner import owner

Progress = Callable[[int, int, str], None]
"""Raises where nobody waits any more; without words (0, 0, "") it only asks that."""


def open_engine(model: str, base: str, device: str, progress: Progress, run: str = "") -> Path:
    """The socket of an engine for `model`; downloads and starts what is missing. Raises LoraLabError.

    `run`: the directory of a run, where it is to be that run's own if it trains all weights.
    """
    from loralab_core.architecture.counts import parameter_count
    from loralab_core.architecture.families import parse_config, read_config, stored_base
    from loralab_core.catalog.hub import resolve_model
    from loralab_core.hardware.devices import resolve_base, resolve_device
    from loralab_core.wire.launch import ensure_engine
    from loralab_core.wire.registry import held_on

    directory = resolve_model(model, parse_config, progress)
    mode = RunDirectory(Path(run)).record().engine_mode if run else ""
    held = held_on(str(directory)) if device == "auto" and not mode else None
    place = resolve_device(held or device)
    parameters, stored = parameter_count(read_config(directory)), stored_base(directory)
    precision = resolve_base(base, place, parameters, stored, full=bool(mode))
    return ensure_engine(str(directory), precision, place, mode=mode, on_wait=lambda: progress(0, 0, ""))


def engine_of(run: RunDirectory) -> Path | None:
    """The socket of the engine that trains `run` at this moment, if one does here."""
    from loralab_core.wire.registry import find_by_pid

    process = owner(run)
    record = find_by_pid(process.pid) if process is not None and process.is_here else None
    return Path(record.socket) if record is not None else None
