"""A failure in words a user can act on: what it means, and what to press. The original sentence stays beside it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from loralab_tui.config import keymap
from loralab_tui.states import causes
from loralab_tui.states.causes import Cause

SHORTEST = 64  # tokens of a window; below it there is nothing left to learn from
OTHERWISE = {"bad_input": causes.BAD_INPUT, "interrupted": causes.INTERRUPTED}
KEYS = ("train", "settings", "model", "corpus", "runs", "data")  # those a cause may name


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
    why: str, kind: str = "failed", config: Mapping[str, Any] | None = None, again: str = "tries again"
) -> Trouble:
    """What `why` (the engine's sentence) is about. `config`: the settings of the run, as far as they are known.

    `again`: what F2 does with that run, where nothing needs to be lowered first.
    """
    cause, settings = _cause(why) or OTHERWISE.get(kind, causes.UNFORESEEN), config or {}
    if cause is causes.OUT_OF_MEMORY and not remedies(settings):
        cause = causes.NOTHING_TO_LOWER
    return _explain(cause, settings, again)


def before_training(why: str) -> Trouble:
    """The same for what happened while nothing was trained yet: opening a model, starting its engine."""
    cause = _cause(why) or causes.BEFORE_TRAINING
    return _explain(causes.WITHOUT_RUN.get(cause, cause), {})


def _cause(why: str) -> Cause | None:
    return next((cause for cause in causes.RECOGNISED if cause.is_said(why)), None)


def _explain(cause: Cause, config: Mapping[str, Any], again: str = "") -> Trouble:
    press = cause.press.format_map({action: keymap.name(action) for action in KEYS} | {"again": again})
    return Trouble(cause.title, cause.meaning, press, _remedies(cause, config))


def _remedies(cause: Cause, config: Mapping[str, Any]) -> tuple[Remedy, ...]:
    if cause is causes.OUT_OF_MEMORY:
        return remedies(config)
    return (slower(config),) if cause is causes.NOT_A_NUMBER else ()


def slower(config: Mapping[str, Any]) -> Remedy:
    rate = float(config.get("lr") or 2e-4) / 4
    return Remedy(f"Learning rate {rate:.1e}", {"lr": rate})


def remedies(config: Mapping[str, Any]) -> tuple[Remedy, ...]:
    """The settings that lower memory, as far as they are not as low as they go, the mildest first."""
    micro, window = config.get("micro_batch"), config.get("seq_len") or 512
    found = []
    if micro is None or micro > 1:
        smaller = micro // 2 if micro else 1
        found.append(Remedy(f"Smaller micro-batch ({smaller}): same result, a little slower", {"micro_batch": smaller}))
    if not config.get("checkpoint_activations"):
        label = "Activations computed twice: same result, a third slower"
        found.append(Remedy(label, {"checkpoint_activations": True}))
    if window // 2 >= SHORTEST:
        label = f"Shorter windows ({window // 2} tokens): the model sees less at once"
        found.append(Remedy(label, {"seq_len": window // 2}))
    return tuple(found)
