"""What Train would do: the settings a person changes, and the sentence that says them before anything starts."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from loralab_core.errors import BadInput
from loralab_core.runs.config import TrainConfig, config_from, config_to_dict
from loralab_tui import words

FIELDS = ("rank", "epochs", "steps", "seq_len", "batch", "lr", "base", "name")
REAL = ("epochs", "lr")
DEFAULTS: dict[str, Any] = {field.name: field.default for field in msgspec.structs.fields(TrainConfig)}


@dataclass(frozen=True)
class Plan:
    """`asked` holds only what the user changed; the rest is the record's own default."""

    asked: tuple[tuple[str, Any], ...] = ()

    def __getitem__(self, name: str) -> Any:
        return dict(self.asked).get(name, DEFAULTS[name])

    @property
    def asked_dict(self) -> dict[str, Any]:
        return dict(self.asked)

    def config(self, model: str, corpus: str) -> dict[str, Any]:
        """Checked and complete, for the wire. BadInput names a setting that does not fit."""
        return config_to_dict(config_from({"model": model, "corpus": (corpus,), **self.asked_dict}))

    def length(self) -> str:
        """How long it will train, as asked: "120 steps" or "1 epoch"."""
        if self["steps"]:
            return f"{self['steps']} steps"
        epochs = float(self["epochs"] or 1)
        return f"{epochs:g} epoch{'' if epochs == 1 else 's'}"

    def short(self) -> str:
        return f"rank {self['rank']} · {self.length()}"

    def sentence(self, corpus: str, note: str) -> str:
        """ "trains an adapter of rank 8 on …": follows the key that does it. `note`: what the corpus is."""
        length = f" of {self['seq_len']} tokens" if self["seq_len"] else ""
        base = "" if self["base"] == "auto" else f" The model itself is kept as {self['base']}."
        what = f"{Path(corpus).name} ({note})" if note else Path(corpus).name
        return (
            f"trains an adapter of rank {self['rank']} on {what} for {self.length()}: "
            f"{self['batch']} sequences{length} a step, learning rate {words.rate(self['lr'])}.{base}"
        )


def plan_from(settings: dict[str, str]) -> Plan:
    """A plan from the form's texts; empty ones mean the default. BadInput says which does not fit, and what would."""
    asked = [(name, _read(name, text.strip())) for name, text in settings.items() if text.strip()]
    return Plan(tuple((name, value) for name, value in asked if value != DEFAULTS[name]))


def _read(name: str, text: str) -> Any:
    try:
        return getattr(config_from({"model": "-", "corpus": ("-",), name: text}), name)
    except BadInput:
        wanted = "a number above 0, such as 2e-4 or 1.5" if name in REAL else "a whole number, 1 or more"
        raise BadInput(f"{name.replace('_', ' ')} cannot be {text!r}: give {wanted}") from None
