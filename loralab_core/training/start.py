"""How a run begins or goes on: what is checked against its record, and the trainer put where it left off."""

from collections.abc import Generator
from pathlib import Path
from typing import Any

import msgspec

from loralab_core.errors import BadInput
from loralab_core.lora.adapter import Adapter, create_adapter
from loralab_core.lora.loaded import LoadedModel
from loralab_core.lora.peft_files import load_adapter, read_settings
from loralab_core.models.loading import fingerprint
from loralab_core.runs.checkpoints import Checkpoint, clear_leftovers, latest_checkpoint
from loralab_core.runs.config import TrainConfig, config_from, config_to_dict
from loralab_core.runs.directory import RunDirectory
from loralab_core.runs.events import Event
from loralab_core.text.dataset import fingerprint_of
from loralab_core.training.checkpoint import load_checkpoint
from loralab_core.training.environment import differences, environment
from loralab_core.training.prepare import Prepared
from loralab_core.training.trainer import Trainer


def settings(run: RunDirectory) -> tuple[TrainConfig, dict[str, Any]]:
    """The run's settings, and what was recorded before step 1 (empty if it never came that far)."""
    record = run.record()
    before = record.prepared or {}
    return (config_from(before["config"]) if before else record.train_config()), before


def as_started_from(config: TrainConfig) -> TrainConfig:
    """`config` with the shape of the adapter it starts from, which no setting can change. Raises BadInput."""
    if config.mode == "full" or not config.from_adapter:
        return config
    given = read_settings(Path(config.from_adapter))
    return msgspec.structs.replace(
        config, rank=given.rank, alpha=given.alpha, dropout=given.dropout, targets=",".join(given.targets)
    )


def check_resumable(run: RunDirectory, steps: int | None) -> None:
    """What can be said before a run is touched: BadInput where it cannot go on as asked."""
    config, before = settings(run)
    check_unchanged(config, before, Path(config.model), run)
    checkpoint = latest_checkpoint(run.checkpoints)
    check_steps(run, steps, checkpoint.step if checkpoint else 0)


def check_steps(run: RunDirectory, steps: int | None, done: int) -> None:
    if steps is not None and steps < max(1, done):
        raise BadInput(f"{run.path} is at step {done} already; --steps must not be below {max(1, done)}")


def check_unchanged(config: TrainConfig, before: dict[str, Any], model_dir: Path, run: RunDirectory) -> None:
    """A run that goes on needs the very corpus and weights it began with. Raises BadInput."""
    if not before:
        return
    if fingerprint_of(config.corpus) != before["corpus_fingerprint"]:
        raise BadInput(
            f"{', '.join(config.corpus)} has changed since this run began; put the old content back, or start a new "
            f"run from its last checkpoint with --from-adapter (they are in {run.checkpoints})"
        )
    if fingerprint(model_dir) != before["model_fingerprint"]:
        raise BadInput(f"{model_dir} holds other weights than when this run began; put the old ones back")


def record_prepared(run: RunDirectory, prepared: Prepared, lm: LoadedModel) -> None:
    """Everything the result depends on, in run.json before step 1."""
    run.prepare(
        {
            "config": config_to_dict(prepared.config),
            "environment": environment(lm.device),
            "corpus": prepared.corpus.format,
            "corpus_fingerprint": prepared.corpus.fingerprint,
            "model_fingerprint": fingerprint(lm.directory),
            "windows": len(prepared.training),
            "fill": prepared.training.fill,
        }
    )


def make_trainer(prepared: Prepared, lm: LoadedModel, run: RunDirectory, past: list[Event]) -> Trainer:
    """A trainer at the run's last checkpoint, or at step 0 where there is none."""
    config = prepared.config
    extended = [event["steps"] for event in past if event["event"] == "changed" and event.get("steps")]
    steps = extended[-1] if extended else config.steps or 1
    clear_leftovers(run.path)
    clear_leftovers(run.checkpoints)
    checkpoint = latest_checkpoint(run.checkpoints)
    trainer = Trainer(lm, config, prepared.training, steps, _adapter(config, lm, checkpoint))
    if checkpoint:
        load_checkpoint(trainer, checkpoint.path)
    return trainer


def _adapter(config: TrainConfig, lm: LoadedModel, checkpoint: Checkpoint | None) -> Adapter | None:
    if config.mode == "full":
        return None
    if config.from_adapter:
        return load_adapter(lm.model, checkpoint.path if checkpoint else Path(config.from_adapter))
    return create_adapter(
        lm.model,
        rank=config.rank,
        alpha=config.alpha,
        dropout=config.dropout,
        targets=config.targets,
        seed=config.seed,
    )


def continuation(
    trainer: Trainer, past: list[Event], before: dict[str, Any], extend_to: int | None
) -> Generator[Event, None, None]:
    """The events that say how this sitting differs from an undisturbed run: resumed, another machine, more steps."""
    if past:
        yield {"event": "resumed", "step": trainer.step}
    if before and (why := differences(before["environment"], environment(trainer.lm.device))):
        yield {"event": "warning", "sentence": f"from here on not bit-identical to an undisturbed run, because {why}"}
    if extend_to is not None and extend_to != trainer.steps:
        trainer.steps = extend_to
        yield {"event": "changed", "at_step": trainer.step, "steps": extend_to}
