"""The options of a training run and how they come together: option, --set, --config, preset, default, in this order."""

import argparse
import os
import tomllib
from pathlib import Path
from typing import Any, NamedTuple, get_args

import msgspec

from loralab_core.errors import BadInput, explain_os_error
from loralab_core.paths import expand_user
from loralab_core.runs.config import Mode, Optimizer, Schedule, TrainConfig, config_from, config_to_dict
from loralab_core.runs.numerics import Base, Compute

_EXCLUSIVE = {"steps": "epochs", "epochs": "steps"}  # naming one takes back the other from a weaker source

_LISTS = ("corpus", "prompts")  # a single one need not be written as a list
_OPTIONAL = frozenset({"from_adapter", "name", "clip"})  # None means without, not "to be decided"


class Asked(NamedTuple):
    """Settings with where each came from ("option", "--set", "config file", "preset …", "default")."""

    config: TrainConfig
    sources: dict[str, str]

    @property
    def by_user(self) -> dict[str, Any]:
        """What was set rather than left to defaults."""
        values = config_to_dict(self.config)
        return {key: values[key] for key, source in self.sources.items() if source != "default"}


def add_train_options(parser: argparse.ArgumentParser) -> None:
    """Every destination is the name of a setting, and absent where the user said nothing."""
    add = _adder(parser)
    add("--model", metavar="DIR|ID", help="model directory, .gguf file or Hub id")
    add("--corpus", nargs="+", metavar="FILE", help="files, folders or patterns to train on")
    parser.add_argument("--preset", metavar="NAME", help="a named starting point (`loralab presets`)")
    parser.add_argument("--config", metavar="FILE", help="settings from a TOML or JSON file")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="any setting by its name")
    parser.add_argument("--print-config", action="store_true", help="print the settings and their sources, and exit")
    _add_model_options(add)
    _add_batch_options(parser)
    _add_place_options(add)


def _add_model_options(add: Any) -> None:
    add("--base", choices=get_args(Base), help="number format of the frozen weights")
    add("--compute", choices=get_args(Compute), help="numeric class of quantised products")
    add("--mode", choices=get_args(Mode), help="train an adapter, or all weights")
    add("--from-adapter", metavar="DIR", help="start from this PEFT adapter")
    add("--rank", type=int, metavar="R", help="rank of the adapter")
    add("--alpha", type=float, metavar="A", help="the adapter's scale is alpha / rank")
    add("--dropout", type=float, metavar="P", help="dropout on the adapter's input")
    add("--targets", metavar="all|attention|mlp|NAMES", help="which projections get an adapter")


def _add_batch_options(parser: argparse.ArgumentParser) -> None:
    add = _adder(parser)
    add("--seq-len", type=int, metavar="N", help="tokens in a window")
    add("--batch", type=int, metavar="N", help="windows in an optimiser step")
    add("--micro-batch", type=int, metavar="N", help="windows in one pass through the model")
    shrink = {"action": argparse.BooleanOptionalAction}
    add("--shrink-micro-batch", **shrink, help="halve it when memory runs out; done where no --micro-batch is given")
    length = _adder(parser.add_mutually_exclusive_group())
    length("--steps", type=int, metavar="N", help="optimiser steps")
    length("--epochs", type=float, metavar="N", help="passes over the corpus")
    add("--optimizer", choices=get_args(Optimizer), help="how gradients become steps, and the memory that takes")
    add("--lr", type=float, metavar="X", help="peak learning rate")
    add("--schedule", choices=get_args(Schedule), help="how the learning rate moves")
    add("--warmup", type=int, metavar="N", help="steps until the peak learning rate")
    add("--val", type=float, metavar="FRACTION", help="share of the corpus held out for validation")
    watched = {"action": "append", "dest": "prompts", "metavar": "TEXT"}
    add("--watch", **watched, help="a prompt answered by the base and at every checkpoint (may be repeated)")
    add("--save-every", type=int, metavar="N", help="steps between checkpoints")


def _add_place_options(add: Any) -> None:
    add("--seed", type=int, metavar="N")
    add("--device", metavar="auto|cpu|cuda[:N]|mps")
    add("--deterministic", action="store_true", help="bit-identical repetition on a GPU too, slower")
    add("--threads", type=int, metavar="N", help="processor threads")
    add("--name", metavar="TEXT", help="name of the run")
    add("--run-dir", metavar="DIR", help="where the run's files go (default: LORALAB_HOME/runs)")


def _adder(parser: Any) -> Any:
    def add(flag: str, **settings: Any) -> None:
        parser.add_argument(flag, default=argparse.SUPPRESS, **settings)

    return add


def gather(arguments: argparse.Namespace) -> Asked:
    """All layers on top of each other, with absolute paths. BadInput names the setting that is wrong."""
    values: dict[str, Any] = {}
    sources: dict[str, str] = {}
    for source, layer in _layers(arguments):
        for key, value in layer.items():
            if (other := _EXCLUSIVE.get(key)) and other not in layer:
                values.pop(other, None)
                sources.pop(other, None)
            values[key], sources[key] = value, source
    if arguments.print_config:  # shows what there is so far
        values = {"model": "", "corpus": [], **values}
    else:
        _require(values)
    for name in _LISTS:
        if isinstance(values.get(name), str):
            values[name] = [values[name]]
    config = absolute_paths(config_from(values))
    return Asked(config, {key: sources.get(key, "default") for key in config_to_dict(config)})


def _layers(arguments: argparse.Namespace) -> list[tuple[str, dict[str, Any]]]:
    """Weakest first."""
    layers = []
    if arguments.preset:
        from loralab_core.planning.presets import find_preset

        layers.append((f"preset {arguments.preset}", find_preset(arguments.preset).settings))
    if arguments.config:
        layers.append(("config file", read_config_file(Path(arguments.config))))
    layers.append(("--set", parse_set(arguments.set)))
    known = {field.name for field in msgspec.structs.fields(TrainConfig)}
    layers.append(("option", {key: value for key, value in vars(arguments).items() if key in known}))
    return layers


def read_config_file(path: Path) -> dict[str, Any]:
    """Settings from TOML, or JSON where the name ends in .json. `-` and `_` in keys are the same."""
    try:
        text = path.read_text(encoding="utf-8")
        found = msgspec.json.decode(text) if path.suffix == ".json" else tomllib.loads(text)
    except OSError as error:
        raise BadInput(explain_os_error(error, f"read the settings in {path}")) from None
    except (UnicodeDecodeError, tomllib.TOMLDecodeError, msgspec.DecodeError) as error:
        raise BadInput(f"{path} is not {'JSON' if path.suffix == '.json' else 'TOML'}: {error}") from None
    if not isinstance(found, dict):
        raise BadInput(f"{path} must hold one object of settings")
    return {key.replace("-", "_"): value for key, value in found.items()}


def parse_set(pairs: list[str]) -> dict[str, Any]:
    """`key=value` words; numbers, true, false and null are converted where the setting wants them."""
    settings: dict[str, Any] = {}
    for pair in pairs:
        key, found, value = pair.partition("=")
        if not found or not key:
            raise BadInput(f"--set {pair}: write it as key=value, for instance --set rank=16")
        name = key.strip().replace("-", "_")
        if name == "prompts":  # they hold commas
            settings.setdefault(name, []).append(value)
        else:
            settings[name] = value.split(",") if name == "corpus" else value
    return settings


def _require(values: dict[str, Any]) -> None:
    if not values.get("model"):
        raise BadInput("no model: give --model with a directory or a Hub id")
    if not values.get("corpus"):
        raise BadInput("no corpus: give --corpus with a file, a folder or a pattern")


def absolute_paths(config: TrainConfig) -> TrainConfig:
    """The engine has another working directory than the user. BadInput if --from-adapter names no adapter."""
    from loralab_core.runs.result import find_adapter

    model = str(expand_user(config.model)) if config.model.startswith("~") else config.model
    return msgspec.structs.replace(
        config,
        model=_absolute(model) if _is_path(model) else model,
        corpus=tuple(_absolute(one) for one in config.corpus),
        from_adapter=str(find_adapter(config.from_adapter)) if config.from_adapter else None,
        run_dir=_absolute(config.run_dir) if config.run_dir else None,
    )


def _is_path(model: str) -> bool:
    return os.path.exists(model) or model.startswith((".", "/"))


def _absolute(path: str) -> str:
    return os.path.abspath(expand_user(path))


def print_config(asked: Asked, as_json: bool) -> str:
    """The settings as a file that --config reads again, each with its source; or one JSON object."""
    values = config_to_dict(asked.config)
    if as_json:
        return msgspec.json.encode({"settings": values, "sources": asked.sources}).decode()
    lines = []
    for key, value in values.items():
        unset = "none" if key in _OPTIONAL else "decided when the run starts"
        setting = f"# {key}: {unset}" if value is None else f"{key} = {_toml(value)}"
        lines.append(f"{setting:<48}  # {asked.sources[key]}")
    return "\n".join(lines)


def _toml(value: Any) -> str:
    return msgspec.json.encode(value).decode()  # TOML writes strings, numbers, booleans and lists as JSON does
