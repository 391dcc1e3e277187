"""`run.json`: what a run was asked to do and what that was resolved to. Written twice at most, then never again."""

from pathlib import Path
from typing import Any

import msgspec

from loralab_core.errors import BadInput, LoraLabError, explain_os_error
from loralab_core.files import write_atomic
from loralab_core.runs.config import TrainConfig, config_from

FORMAT = 1


class RunRecord(msgspec.Struct, kw_only=True, frozen=True):
    """The content of `run.json`. Fields this version does not know are ignored."""

    id: str
    created: float  # unix seconds
    config: dict[str, Any]  # a TrainConfig, every field present
    asked: dict[str, Any] = {}  # only what the user set
    name: str | None = None
    prepared: dict[str, Any] | None = None  # added just before step 1: threads, isa, versions, fingerprints, steps
    format: int = FORMAT

    @property
    def engine_mode(self) -> str:
        """What `ensure_engine` wants as `mode`: where all weights are trained, the run has an engine of its own."""
        return self.id if self.config.get("mode") == "full" else ""

    def train_config(self) -> TrainConfig:
        """The settings, typed. Those of a newer version that this one does not know are left out."""
        known = {field.name for field in msgspec.structs.fields(TrainConfig)}
        return config_from({key: value for key, value in self.config.items() if key in known})


def write_record(path: Path, record: RunRecord) -> None:
    """Raises LoraLabError when the disk refuses."""
    try:
        write_atomic(path, msgspec.json.format(msgspec.json.encode(record), indent=2) + b"\n")
    except OSError as error:
        raise LoraLabError(explain_os_error(error, f"write {path}")) from error


def read_record(path: Path) -> RunRecord:
    """Raises BadInput when `path` is missing, damaged or from a newer LoRA Lab."""
    try:
        record = msgspec.json.decode(path.read_bytes(), type=RunRecord)
    except FileNotFoundError:
        raise BadInput(f"{path.parent} is not a run: it has no run.json") from None
    except OSError as error:
        raise BadInput(explain_os_error(error, f"read {path}")) from error
    except msgspec.DecodeError as error:
        raise BadInput(f"{path} is damaged ({error}); the run's adapter and checkpoints may still be whole") from None
    if record.format > FORMAT:
        raise BadInput(f"{path} was written by a newer LoRA Lab (format {record.format}); update to open it")
    return record
