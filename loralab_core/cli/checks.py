"""What can be said about a run before any engine is started: cheap, and without torch."""

import glob
from pathlib import Path

import msgspec

from loralab_core.cli.terminal import say
from loralab_core.errors import BadInput
from loralab_core.runs.config import TrainConfig, check_base
from loralab_core.runs.directory import check_free


def check_paths(config: TrainConfig) -> None:
    """BadInput, naming the path, for a corpus or run directory that cannot be used."""
    for corpus in config.corpus:
        check_corpus(corpus)
    if config.run_dir:
        check_free(Path(config.run_dir))


def check_corpus(corpus: str) -> None:
    path = Path(corpus)
    if not path.exists():
        if glob.has_magic(corpus) and glob.glob(corpus, recursive=True):
            return
        what = "no file matches" if glob.has_magic(corpus) else "there is no corpus"
        raise BadInput(f"{what} {corpus}; check the path")
    if path.is_file() and path.stat().st_size == 0:
        raise BadInput(f"{corpus} is empty; give a corpus with text in it")


def place_of(asked: str, model_dir: Path) -> str:
    """The device as asked; of several `auto` takes the one that holds the model already, and says which and why."""
    from loralab_core.hardware.devices import auto_device, resolve_device
    from loralab_core.wire.registry import held_on

    if asked != "auto":
        return resolve_device(asked)
    if held := held_on(str(model_dir)):
        return resolve_device(held)
    choice = auto_device()
    if choice.is_worth_a_word:
        say("; ".join((f"device {choice.device}: {choice.why}", *choice.unusable)))
    return choice.device


def resolve_place(config: TrainConfig, model_dir: Path) -> TrainConfig:
    """`config` with its device and number format decided, from config.json alone. BadInput if not possible."""
    from loralab_core.architecture.counts import parameter_count
    from loralab_core.architecture.families import read_config, stored_base
    from loralab_core.hardware.devices import resolve_base

    device = place_of(config.device, model_dir)
    parameters, stored = parameter_count(read_config(model_dir)), stored_base(model_dir)
    base = resolve_base(config.base, device, parameters, stored, config.mode == "full")
    check_base(config, base)
    return msgspec.structs.replace(config, device=device, base=base)
