"""Who answers: the base, the adapter of a run as it is being trained or as it ended, or one from a directory."""

from collections.abc import Callable
from pathlib import Path

from loralab_core.engine.run_host import RunHost
from loralab_core.errors import BadInput
from loralab_core.lora.adapter import Adapter
from loralab_core.lora.loaded import LoadedModel
from loralab_core.lora.peft_files import load_adapter
from loralab_core.lora.peft_settings import CONFIG
from loralab_core.paths import expand_user
from loralab_core.runs.directory import RunDirectory, open_run
from loralab_core.runs.result import newest_result
from loralab_core.wire.messages import Generate

RESIDENT = 8  # adapters kept in memory for questions to come


class Speakers:
    def __init__(self, runs: RunHost, hold: Callable[[Path], None] | None = None):
        """`hold` is given where all weights are trained: it puts those of a model directory into the model, and may
        raise NotRead."""
        self.runs, self.hold = runs, hold
        self._resident: dict[tuple[str, int], Adapter] = {}  # by directory and its time of writing

    def of(self, request: Generate, lm: LoadedModel) -> tuple[Adapter | None, int | None]:
        """The adapter to answer with, and the step it is pinned to while it is being trained. Raises BadInput."""
        if self.hold and request.speaker != "lora":
            raise BadInput(
                "all weights were trained, so there is no base beside them here, nor adapters of it; "
                f"`loralab chat --model {lm.directory}` opens it"
            )
        if request.speaker == "base":
            return None, None
        if request.speaker != "lora":
            return self._resident_adapter(Path(request.speaker), lm), None
        training = self.runs.training
        run = open_run(Path(request.run)) if request.run else training.run if training else None
        if run is None:
            raise BadInput("there is no run whose adapter could answer; train one or name an adapter directory")
        if training and training.run == run and training.trainer:
            adapter = training.trainer.adapter
            return (adapter.snapshot() if adapter else None), training.step
        return self._finished_run(run, lm)

    def _finished_run(self, run: RunDirectory, lm: LoadedModel) -> tuple[Adapter | None, int | None]:
        result = newest_result(run)
        if result.kind == "adapter":
            return self._resident_adapter(result.place, lm), result.step
        if self.hold is None:
            raise BadInput(f"{run.path} trained all weights; `loralab chat --run {run.path}` opens them in an engine")
        if self.runs.training:  # their place is taken
            raise BadInput("this run is about to go on; ask again after its first step")
        self.hold(result.place)
        return None, result.step

    def _resident_adapter(self, directory: Path, lm: LoadedModel) -> Adapter:
        """Read once and kept; read again when the directory was written anew."""
        place = expand_user(directory).resolve()
        written = (place / CONFIG).stat().st_mtime_ns if (place / CONFIG).is_file() else 0
        key = (str(place), written)
        adapter = self._resident.pop(key, None) or load_adapter(lm.model, place)
        self._resident[key] = adapter  # at the end: the one that was asked last
        for old in list(self._resident)[:-RESIDENT]:
            del self._resident[old]
        return adapter

    def forget(self) -> bool:
        """The adapters that are kept; whether there were any."""
        had = bool(self._resident)
        self._resident.clear()
        return had
