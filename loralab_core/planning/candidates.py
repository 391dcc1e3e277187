"""The models one can choose from, each with what it needs and whether that is here. For lists of models."""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from loralab_core.architecture.families import read_config, stored_base
from loralab_core.catalog.found import FoundModel
from loralab_core.catalog.models import Figures
from loralab_core.errors import BadInput, explain_os_error
from loralab_core.hardware.room import Room
from loralab_core.planning.footprint import Need, figures_of, need


@dataclass(frozen=True)
class Candidate:
    model: FoundModel
    figures: Figures | None = None
    need: Need | None = None  # None: not known, or the device is not
    refused: str = ""  # why it can never be opened


def candidates(models: Iterable[FoundModel], room: Room | None) -> list[Candidate]:
    """Reads configurations and the headers of GGUF files, which may take a second: not for a thread that paints."""
    return [_weigh(model, room) for model in models]


def _weigh(model: FoundModel, room: Room | None) -> Candidate:
    (figures, stored), refused = _looked_into(model.path) if model.path else ((None, None), "")
    figures = figures or (model.entry.figures if model.entry else None)
    return Candidate(model, figures, need(figures, room, stored) if figures and room else None, refused)


def _looked_into(path: Path) -> tuple[tuple[Figures | None, str | None], str]:
    """What its configuration says, with the base it is stored as; or why it cannot be opened."""
    try:
        changed = (path / "config.json" if path.is_dir() else path).stat().st_mtime_ns
        return _said(path, changed), ""
    except BadInput as error:
        return (None, None), str(error)
    except OSError as error:
        return (None, None), explain_os_error(error, f"read {path}")


@lru_cache(maxsize=256)  # lists are made anew while one types, and the vocabulary in a GGUF file is long
def _said(path: Path, changed: int) -> tuple[Figures, str | None]:
    return figures_of(read_config(path)), stored_base(path)
