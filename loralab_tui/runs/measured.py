"""What earlier runs on this computer measured: how fast a model trains here, how many tokens a corpus has.

A forecast is only made from such figures; where there are none, the sentence says when there will be.
"""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from loralab_core.architecture.families import read_config
from loralab_core.errors import LoraLabError
from loralab_core.runs.directory import RunDirectory, list_runs
from loralab_core.runs.events import read
from loralab_core.runs.record import RunRecord
from loralab_tui import words
from loralab_tui.data.amount import estimated_tokens
from loralab_tui.data.looking import WINDOW
from loralab_tui.plan import Plan

NEWEST = 40  # runs looked at
OFTEN = 1.5  # times more than expected that a corpus is read; below it, an estimate says little
STEPS = 20  # of a run, the last ones, whose speed counts
LIKE = ("mode", "seq_len", "checkpoint_activations")  # what must be the same for a speed to be the same


@dataclass(frozen=True)
class Measured:
    """`tokens_per_s` as run `speed_of` had it; `corpus_tokens` of one epoch as a run counted them, `estimated_tokens`
    where none did. None: unknown."""

    tokens_per_s: float | None = None
    speed_of: str = ""
    corpus_tokens: int | None = None
    estimated_tokens: int | None = None


def measured(model: str, corpus: tuple[str, ...], plan: Plan) -> Measured:
    """From the newest runs that fit; nothing where they cannot be read. Reads files: for a thread."""
    try:
        return _measured(model, corpus, plan)
    except OSError:
        return Measured()


def _measured(model: str, corpus: tuple[str, ...], plan: Plan) -> Measured:
    window = window_of(model, plan)
    runs = list(_prepared(model))
    speeds = ((record, _speed(run)) for run, record, config in runs if _alike(config, plan, window))
    newest = next(((record.name or record.id, speed) for record, speed in speeds if speed), ("", None))
    counts = (_tokens(record) for _, record, config in runs if _same_corpus(record, config, corpus))
    counted = next((count for count in counts if count), None)
    return Measured(newest[1], newest[0], counted, None if counted else estimated_tokens(corpus, model))


def window_of(model: str, plan: Plan) -> int:
    """Tokens of a window as the run will decide it."""
    if plan["seq_len"]:
        return int(plan["seq_len"])
    try:
        return min(WINDOW, read_config(Path(model)).context)
    except LoraLabError:
        return WINDOW


def _prepared(model: str) -> Iterator[tuple[RunDirectory, RunRecord, dict[str, Any]]]:
    """The newest runs of `model` that got as far as step 1, with what was decided for them."""
    place = os.path.realpath(model)
    for run, record in list(reversed(list_runs()))[:NEWEST]:
        config = (record.prepared or {}).get("config") or {}
        if config and os.path.realpath(str(config.get("model"))) == place:
            yield run, record, config


def _alike(config: dict[str, Any], plan: Plan, window: int) -> bool:
    wanted = {name: plan[name] for name in LIKE} | {"seq_len": window}
    fits = all(config.get(name) == value for name, value in wanted.items())
    return fits and plan["base"] in ("auto", config.get("base"))


def _speed(run: RunDirectory) -> float | None:
    """The median over the last steps: the first ones warm up."""
    speeds = [event.get("tokens_per_s") for event in read(run.events_path) if event["event"] == "step"]
    known = [speed for speed in speeds[-STEPS:] if speed]
    return median(known) if known else None


def _same_corpus(record: RunRecord, config: dict[str, Any], corpus: tuple[str, ...]) -> bool:
    """And unchanged since, as far as its date tells."""
    try:
        same = tuple(config.get("corpus", ())) == corpus
        return same and all(os.stat(place).st_mtime <= record.created for place in corpus)
    except OSError:
        return False


def _tokens(record: RunRecord) -> int | None:
    facts = record.prepared or {}
    windows, length = facts.get("windows"), facts.get("config", {}).get("seq_len")
    return int(windows * facts.get("fill", 1.0) * length) if windows and length else None


def tokens_of(plan: Plan, window: int, known: Measured) -> int | None:
    """How many tokens the plan trains; None where an epoch of this corpus has not been counted yet."""
    if plan["steps"]:
        return int(plan["steps"] * plan["batch"] * window)
    return int(float(plan["epochs"] or 1) * known.corpus_tokens) if known.corpus_tokens else None


def forecast(plan: Plan, window: int, known: Measured) -> str:
    """How many tokens, how long where that was measured, and how often the corpus is read where it is often."""
    return " ".join(filter(None, (_amount(plan, window, known), _repeated(plan, window, known))))


def _repeated(plan: Plan, window: int, known: Measured) -> str:
    """Nothing where it is about as often as the epochs say."""
    tokens = known.corpus_tokens or known.estimated_tokens
    steps, times = plan.passes(tokens, window) if tokens else (0, 0.0)
    expected = 1.0 if plan["steps"] else max(1.0, float(plan["epochs"] or 1))
    if times < OFTEN * expected:
        return ""
    length = "It reads" if plan["steps"] else "One step reads" if steps == 1 else f"{steps:,} steps read"
    return f"{length} the corpus about {words.times(times)} times."


def _amount(plan: Plan, window: int, known: Measured) -> str:
    tokens = tokens_of(plan, window, known)
    amount = f"{words.count(tokens)} tokens" if tokens else ""
    if tokens and known.tokens_per_s:
        time = words.about(tokens / known.tokens_per_s)
        return f"That is {amount}: about {time}, at the {known.tokens_per_s:,.0f} tokens/s of run {known.speed_of}."
    said = f"That is {amount}; the" if amount else "The"
    return f"{said} time is measured after the first steps."
