"""From a run or its settings to a connection with the engine it belongs to."""

import os
from pathlib import Path

import msgspec

from loralab_core.cli.checks import check_paths, resolve_place
from loralab_core.cli.terminal import say
from loralab_core.errors import LoraLabError
from loralab_core.runs.config import TrainConfig
from loralab_core.runs.directory import RunDirectory
from loralab_core.runs.owner import owner
from loralab_core.wire.client import Client
from loralab_core.wire.launch import ensure_engine
from loralab_core.wire.registry import find_by_pid


def local_model(model: str) -> Path:
    """The directory of `model`, downloaded with a progress bar if it is a Hub id that is not here yet."""
    from loralab_core.architecture.families import parse_config
    from loralab_core.catalog.hub import resolve_model

    return resolve_model(model, parse_config)


def settle(config: TrainConfig) -> TrainConfig:
    """`config` checked and with model directory, device and number format decided, as the engine needs it."""
    check_paths(config)
    model = local_model(config.model)
    placed = resolve_place(config, model)
    return msgspec.structs.replace(placed, model=str(model))


def connect_for(config: TrainConfig, mode: str = "") -> Client:
    """A connection to the engine for a settled `config`, started if need be. `mode`: a run's `engine_mode`."""
    return Client(ensure_engine(config.model, config.base, config.device, mode=mode, on_note=say))


def connect_to_run(run: RunDirectory) -> Client | None:
    """A connection to the engine that trains `run` now; None if nobody does. LoraLabError if it cannot be reached."""
    by = owner(run)
    if by is None:
        return None
    if not by.is_here:
        raise LoraLabError(f"{run.path} is trained on {by.host} (pid {by.pid}); log in there to reach it")
    record = find_by_pid(by.pid)
    if record is None or not os.path.exists(record.socket):
        raise LoraLabError(
            f"process {by.pid} trains {run.path} but does not listen; if it was started from Python, stop it there"
        )
    return Client(Path(record.socket))
