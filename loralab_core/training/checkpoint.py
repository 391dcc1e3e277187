"""Checkpoints: the trained tensors, the optimiser's state, counters and loss scale; training goes on bit for bit.

A checkpoint of an adapter run is itself a PEFT directory; one of a full run is a Hugging Face model directory.
The learning rate, the data order and every random draw are functions of the step number, so they need no state.
"""

import json
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import save_file
from torch import Tensor

from loralab_core.architecture.quantised import without_quantisation
from loralab_core.errors import BadInput, LoraLabError
from loralab_core.files import write_directory_atomic
from loralab_core.lora.peft_files import load_adapter, save_adapter
from loralab_core.models.companions import write_companions
from loralab_core.models.naming import checkpoint_tensors
from loralab_core.optim import Optimizer
from loralab_core.runs.checkpoints import TRAINING_STATE
from loralab_core.runs.directory import RunDirectory
from loralab_core.safetensors_file import read_tensors
from loralab_core.training.trainer import Trainer

OPTIMIZER, STATE = TRAINING_STATE


def write_checkpoint(trainer: Trainer, place: Path) -> str:
    """A checkpoint that appears as a whole; returns why there is none where the disk refuses, else an empty text."""
    try:
        write_directory_atomic(place, lambda path: save_checkpoint(trainer, path))
    except (OSError, SafetensorError) as error:
        return _reason(error)
    return ""


def write_result(trainer: Trainer, run: RunDirectory) -> None:
    """What the run was for. Raises LoraLabError when the disk refuses."""
    place = run.adapter if trainer.adapter is not None else run.model
    try:
        write_directory_atomic(place, lambda path: save_weights(trainer, path))
    except (OSError, SafetensorError) as error:
        raise LoraLabError(
            f"the result could not be written to {place} ({_reason(error)}); free some space, then "
            f"`loralab resume {run.path}` goes on from the last checkpoint"
        ) from error


def _reason(error: Exception) -> str:
    return error.strerror if isinstance(error, OSError) and error.strerror else str(error)


def save_checkpoint(trainer: Trainer, directory: Path) -> None:
    """Fill `directory` (the caller makes it appear atomically). Raises OSError when the disk refuses."""
    save_weights(trainer, directory)
    moments = {
        f"{name}.{moment}": value.detach().cpu().contiguous()
        for name, tensor in trainer.named.items()
        for moment, value in trainer.optimizer.state.get(tensor, {}).items()
    }
    save_file(moments, directory / OPTIMIZER)
    state = {"step": trainer.step, "tokens": trainer.tokens, "seconds": trainer.seconds} | trainer.loss_scale.state()
    (directory / STATE).write_text(json.dumps(state, indent=2) + "\n", encoding="utf-8")


def save_weights(trainer: Trainer, directory: Path) -> None:
    """The adapter as PEFT has it, or all weights as a model directory."""
    if trainer.adapter is not None:
        save_adapter(trainer.adapter, directory, trainer.config.model, transposed=trainer.lm.model.config.transposed)
        return
    directory.mkdir(parents=True, exist_ok=True)
    tensors = {
        name: tensor.detach().cpu().contiguous() for name, tensor in checkpoint_tensors(trainer.lm.model).items()
    }
    save_file(tensors, directory / "model.safetensors", metadata={"format": "pt"})
    write_companions(trainer.lm.directory, directory)
    _announce_dense(directory / "config.json")


def _announce_dense(config: Path) -> None:
    """All weights are written dense, also those of a base that is stored quantised."""
    raw = json.loads(config.read_text(encoding="utf-8"))
    if (dense := without_quantisation(raw)) != raw:
        config.write_text(json.dumps(dense, indent=2) + "\n", encoding="utf-8")


def load_checkpoint(trainer: Trainer, directory: Path) -> None:
    """Put a checkpoint's tensors, moments and counters into `trainer`. Raises BadInput when a file is damaged."""
    model = trainer.lm.model
    with torch.no_grad():
        if trainer.adapter is not None:
            saved = load_adapter(model, directory)
            for path, lora in trainer.adapter.layers.items():
                lora.a.copy_(saved.layers[path].a)
                lora.b.copy_(saved.layers[path].b)
        else:
            places = checkpoint_tensors(model)
            for name, tensor in read_tensors(directory / "model.safetensors"):
                places[name].copy_(tensor)
    _load_moments(trainer.optimizer, trainer.named, directory / OPTIMIZER)
    try:
        state = json.loads((directory / STATE).read_text(encoding="utf-8"))
        trainer.step, trainer.tokens, trainer.seconds = state["step"], state["tokens"], state["seconds"]
        trainer.loss_scale.load(state)
    except (OSError, ValueError, KeyError) as error:
        raise LoraLabError(
            f"{directory / STATE} cannot be read ({error}); remove {directory} to use an older one"
        ) from None


def _load_moments(optimizer: Optimizer, named: dict[str, Tensor], file: Path) -> None:
    moments: dict[str, dict[str, Tensor]] = {}
    for key, value in read_tensors(file):
        name, _, moment = key.rpartition(".")
        moments.setdefault(name, {})[moment] = value
    for name in named.keys() & moments.keys():
        state, found = optimizer.fresh(named[name]), moments[name]
        if [(key, state[key].shape) for key in sorted(state)] != [(key, found[key].shape) for key in sorted(found)]:
            raise BadInput(f"{file} holds the state of another optimiser; resume with the one that the run began with")
        for moment, value in found.items():
            state[moment].copy_(value)
        optimizer.state[named[name]] = state
