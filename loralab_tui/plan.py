"""What Train would do: the settings a person changes, and the sentence that says them before anything starts."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from loralab_core.errors import BadInput
from loralab_core.runs.config import TrainConfig, config_from, config_to_dict
from loralab_core.runs.record import RunRecord
from loralab_tui import words

OF_ONE_RUN = ("model", "corpus", "prompts", "name", "run_dir")  # chosen elsewhere, or of no use to another run
RESOLVED = ("base", "device")  # a run's config already holds what "auto" became
REAL = ("epochs", "lr", "alpha")
DEFAULTS: dict[str, Any] = {field.name: field.default for field in msgspec.structs.fields(TrainConfig)}
OPEN = str(None)  # the text of a choice that is left to us
ADAPTER_ONLY = ("rank", "alpha", "targets")


@dataclass(frozen=True)
class Plan:
    """`asked` holds only what the user changed; the rest is the record's own default."""

    asked: tuple[tuple[str, Any], ...] = ()

    def __getitem__(self, name: str) -> Any:
        return dict(self.asked).get(name, DEFAULTS[name])

    @property
    def asked_dict(self) -> dict[str, Any]:
        return dict(self.asked)

    @property
    def full(self) -> bool:
        return bool(self["mode"] == "full")

    def config(self, model: str, *corpus: str) -> dict[str, Any]:
        """Checked and complete, for the wire. BadInput names a setting that does not fit."""
        return config_to_dict(config_from({"model": model, "corpus": corpus, **self.asked_dict}))

    def changed(self, **settings: Any) -> "Plan":
        """With these settings; those that are the default again are no longer asked for."""
        asked = {**self.asked_dict, **settings}
        return Plan(tuple((name, value) for name, value in asked.items() if value != DEFAULTS[name]))

    def shared(self, other: "Plan") -> tuple[str, ...]:
        """The settings that both ask for, to the same value."""
        return tuple(name for name, value in self.asked if (name, value) in other.asked)

    def without(self, names: Sequence[str]) -> "Plan":
        return Plan(tuple((name, value) for name, value in self.asked if name not in names))

    def length(self) -> str:
        """How long it will train, as asked: "120 steps" or "1 epoch"."""
        if self["steps"]:
            return f"{self['steps']:,} steps"
        epochs = float(self["epochs"] or 1)
        return f"{epochs:g} epoch{'' if epochs == 1 else 's'}"

    def passes(self, tokens: int, window: int) -> tuple[int, float]:
        """(steps, how often they read a corpus of so many tokens): each takes whole windows, also where few are."""
        windows = max(1, math.ceil(tokens / window))
        steps = self["steps"] or math.ceil(float(self["epochs"] or 1) * windows / self["batch"])
        return steps, steps * self["batch"] / windows

    def short(self, brief: bool = False) -> str:
        """For the header: mode, rank, length; `brief` where there is little room."""
        kind = "full" if self.full else f"r{self['rank']}" if brief else f"adapter · rank {self['rank']}"
        return f"{kind} · {self.length()}"

    def sentence(self, corpus: str, note: str) -> str:
        """ "trains an adapter of rank 8 on …": follows the key that does it. `note`: what the corpus is."""
        what = f"{Path(corpus).name} ({note})" if note else Path(corpus).name
        subject = "all weights of the model" if self.full else f"an adapter of rank {self['rank']}{self._where()}"
        length = f" of {self['seq_len']} tokens" if self["seq_len"] else ""
        rate = words.rate(self["lr"])
        doing = f"trains {subject} on {what} for {self.length()}"
        return f"{doing}: {self['batch']} sequences{length} a step, learning rate {rate}.{self._rest()}"

    def _where(self) -> str:
        return "" if self["targets"] == "all" else f" in {self['targets']}"

    def _rest(self) -> str:
        base = "" if self["base"] == "auto" else f" The model itself is kept as {self['base']}."
        lean = " Activations are computed twice to save memory." if self["checkpoint_activations"] else ""
        begun = "" if self.full or not self["from_adapter"] else f" It goes on from {Path(self['from_adapter']).name}."
        return base + lean + begun


def plan_of(record: RunRecord) -> Plan:
    """What was asked of a run, to ask the same again; what was left open is open again."""
    config = record.config | {name: record.asked.get(name, DEFAULTS[name]) for name in RESOLVED}
    return Plan().changed(**{name: config[name] for name in DEFAULTS if name in config and name not in OF_ONE_RUN})


def plan_from(settings: Mapping[str, str], kept: Mapping[str, Any] | None = None) -> Plan:
    """A plan from the form's texts; empty ones mean the default. BadInput says which does not fit, and what would.

    `kept`: settings that came with a preset and have no field.
    """
    asked = [(name, _read(name, text.strip())) for name, text in settings.items() if text.strip() not in ("", OPEN)]
    return Plan().changed(**(kept or {}), **dict(asked))


def _read(name: str, text: str) -> Any:
    try:
        return getattr(config_from({"model": "-", "corpus": ("-",), name: text}), name)
    except BadInput:
        raise BadInput(f"{label(name)} cannot be {text!r}: give {_wanted(name)}") from None


def _wanted(name: str) -> str:
    if name in REAL:
        return "a number above 0, such as 2e-4 or 1.5"
    return "a whole number, 2 or more" if name == "seq_len" else "a whole number, 1 or more"


LABELS = {"seq_len": "window", "lr": "learning rate", "micro_batch": "micro-batch"}


def label(name: str) -> str:
    return LABELS.get(name, name.replace("_", " "))
