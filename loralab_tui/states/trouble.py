"""A failure in words a user can act on: what it means, and what to press. The original sentence stays beside it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from loralab_tui.config import keymap
from loralab_tui.states import causes
from loralab_tui.states.causes import Cause

SHORTEST = 64  # tokens of a window; below it there is nothing left to learn from
OTHERWISE = {"bad_input": causes.BAD_INPUT, "interrupted": causes.INTERRUPTED}
KEYS = ("train", "settings", "model", "corpus", "runs", "data")  # those a cause may name
LABELS = {
    "micro_batch": ("Smaller micro-batch ({})", "same result, a little slower"),
    "checkpoint_activations": ("Activations computed twice", "same result, a third slower"),
    "optimizer": ("Optimiser {}", "its state in less memory"),
    "base": ("Base in {}", "the model itself in less memory, a little less exact"),
    "seq_len": ("Shorter windows ({} tokens)", "the model sees less at once"),
}  # of what can be lowered: what it would be, what that costs


@dataclass(frozen=True)
class Remedy:
    """Settings that would help, named as a button names them."""

    label: str
    settings: Mapping[str, Any]


@dataclass(frozen=True)
class Trouble:
    """`title` is what happened in a few words, `meaning` what that means, `press` the next step.

    `remedies`: what F2 offers before it starts again.
    """

    title: str
    meaning: str
    press: str
    remedies: tuple[Remedy, ...] = field(default=())


def trouble(
    why: str,
    kind: str = "failed",
    config: Mapping[str, Any] | None = None,
    again: str = "tries again",
    known: Sequence[Mapping[str, Any]] | None = None,
) -> Trouble:
    """What `why` (the engine's sentence) is about. `config`: the settings of the run, as far as they are known.

    `again`: what F2 does with that run, where nothing needs to be lowered first. `known`: settings that would help
    where memory ran out, as the engine has reckoned; None where it did not.
    """
    cause, settings = _cause(why) or OTHERWISE.get(kind, causes.UNFORESEEN), config or {}
    lower = remedies(settings) if known is None else tuple(Remedy(_label(one), one) for one in known)
    if cause is causes.OUT_OF_MEMORY and not lower:
        cause = causes.NOTHING_TO_LOWER
    return _explain(cause, settings, again, lower)


def before_training(why: str) -> Trouble:
    """The same for what happened while nothing was trained yet: opening a model, starting its engine."""
    cause = _cause(why) or causes.BEFORE_TRAINING
    return _explain(causes.WITHOUT_RUN.get(cause, cause), {})


def _cause(why: str) -> Cause | None:
    return next((cause for cause in causes.RECOGNISED if cause.is_said(why)), None)


def _explain(cause: Cause, config: Mapping[str, Any], again: str = "", lower: tuple[Remedy, ...] = ()) -> Trouble:
    press = cause.press.format_map({action: keymap.name(action) for action in KEYS} | {"again": again})
    if cause is causes.NOT_A_NUMBER:
        return Trouble(cause.title, cause.meaning, press, (slower(config),))
    return Trouble(cause.title, cause.meaning, press, lower if cause is causes.OUT_OF_MEMORY else ())


def slower(config: Mapping[str, Any]) -> Remedy:
    rate = float(config.get("lr") or 2e-4) / 4
    return Remedy(f"Learning rate {rate:.1e}", {"lr": rate})


def remedies(config: Mapping[str, Any]) -> tuple[Remedy, ...]:
    """The settings that lower memory, as far as they are not as low as they go, the mildest first."""
    micro, window = config.get("micro_batch"), config.get("seq_len") or 512
    found: list[Mapping[str, Any]] = []
    if micro is None or micro > 1:
        found.append({"micro_batch": micro // 2 if micro else 1})
    if not config.get("checkpoint_activations"):
        found.append({"checkpoint_activations": True})
    if window // 2 >= SHORTEST:
        found.append({"seq_len": window // 2})
    return tuple(Remedy(_label(one), one) for one in found)


def _label(settings: Mapping[str, Any]) -> str:
    """What it would be and what that costs; of several only the former."""
    said = [(LABELS[name][0].format(value), LABELS[name][1]) for name, value in settings.items() if name in LABELS]
    if len(said) == 1:
        return ": ".join(said[0])
    return ", ".join(what if number == 0 else what[0].lower() + what[1:] for number, (what, _) in enumerate(said))
