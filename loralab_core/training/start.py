"""How a run begins or goes on: what is checked against its record, and the trainer put where it left off."""

import math
from collections.abc import Generator
from pathlib import Path
from typing import Any

import msgspec

from loralab_core.errors import BadInput
from loralab_core.lora.adapter import Adapter, create_adapter
from loralab_core.lora.loaded import LoadedModel
from loralab_core.lora.peft_files import load_adapter
from loralab_core.lora.peft_settings import read_settings
from loralab_core.models.loading import fingerprint
from loralab_core.runs.checkpoints import Checkpoint, clear_leftovers, latest_checkpoint
from loralab_core.runs.config import TrainConfig, config_from, config_to_dict
from loralab_core.runs.directory import RunDirectory
from loralab_core.runs.events import Event
from loralab_core.text.dataset import fingerprint_of
from loralab_core.training.checkpoint import load_checkpoint
from loralab_core.training.environment import differences, environment, paths_in_use
from loralab_core.training.prepare import Prepared
from loralab_core.training.trainer import Trainer


def settings(run: RunDirectory) -> tuple[TrainConfig, dict[str, Any]]:
    """The run's settings, and what was recorded before step 1 (empty if it never came that far)."""
    record = run.record()
    before = record.prepared or {}
    if not before:
        return record.train_config(), before
    if set(before["config"]) - {field.name for field in msgspec.structs.fields(TrainConfig)}:
        raise BadInput(f"{run.path} was begun by a newer LoRA Lab, with settings unknown here; update to resume it")
    return config_from(before["config"]), before


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


def check_change(run: RunDirectory, trainer: Trainer | None, steps: int | None, lr: float | None) -> Trainer:
    """BadInput where a run under way cannot be changed like this."""
    if trainer is None:
        raise BadInput(f"{run.path} is still being prepared; change it once it trains")
    if steps is None and lr is None:
        raise BadInput("nothing to change: give --steps or --lr")
    if steps is not None and steps <= trainer.step:
        raise BadInput(f"{run.path} is at step {trainer.step} already; --steps must be above that")
    if lr is not None and not 0 < lr < math.inf:
        raise BadInput(f"--lr {lr:g} does not fit: it must be a number above 0")
    return trainer


def check_opened(config: TrainConfig, lm: LoadedModel) -> None:
    """A new run trains what its record says. BadInput where another model, or another number format, is open."""
    model = Path(config.model)
    if model.is_absolute() and model.resolve() != lm.directory.resolve():
        raise BadInput(f"this run is to train {model}, but {lm.directory} is open; start it again")
    if config.base not in ("auto", lm.base):
        raise BadInput(f"this run is to train on a base in {config.base}, but it is open in {lm.base}; start it again")


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
            "environment": environment(lm),
            "paths": paths_in_use(lm.base, lm.device),
            "corpus": prepared.corpus.format,
            "corpus_fingerprint": prepared.corpus.fingerprint,
            "model_fingerprint": fingerprint(lm.directory),
            "windows": len(prepared.training),
            "fill": prepared.training.fill,
            "prompts_as": prepared.prompts.form if prepared.config.prompts else None,
        }
    )


def make_trainer(prepared: Prepared, lm: LoadedModel, run: RunDirectory, past: list[Event]) -> Trainer:
    """A trainer at the run's last checkpoint, or at step 0 where there is none."""
    config = prepared.config
    clear_leftovers(run.path)
    clear_leftovers(run.checkpoints)
    checkpoint = latest_checkpoint(run.checkpoints)
    trainer = Trainer(lm, config, prepared.training, config.steps or 1, _adapter(config, lm, checkpoint))
    trainer.course.follow(past)
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
    was, now = before.get("environment", {}), environment(trainer.lm) | {"base": trainer.lm.base}
    if before and (why := differences(was | {"base": before["config"]["base"]}, now)):
        yield {"event": "warning", "sentence": f"from here on not bit-identical to an undisturbed run, because {why}"}
    if extend_to is not None and extend_to != trainer.steps:
        yield {"event": "changed", "at_step": trainer.step, "steps": extend_to}
        trainer.course.change(trainer.step, steps=extend_to)
