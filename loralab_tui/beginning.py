"""What the studio opens with: what was asked for, the newest run's model and corpus, or the demo for a newcomer.

Reads a few small files; run in a thread.
"""

import os
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from loralab_core.catalog import pocket as bundled
from loralab_core.runs.directory import RunDirectory, list_runs
from loralab_core.runs.owner import owner
from loralab_core.runs.record import RunRecord
from loralab_tui.data.discover import is_model_directory
from loralab_tui.plan import Plan


@dataclass(frozen=True)
class Demo:
    """A model and a corpus that come with the program, and what to do with them."""

    model: str
    corpus: str
    question: str
    settings: dict[str, Any]

    @property
    def plan(self) -> Plan:
        return Plan(tuple(self.settings.items()))


@dataclass(frozen=True)
class Beginning:
    """`more` are corpora beside `corpus`. `question` is typed into the prompt. `live` is a run that trains here now:
    (its name, its directory)."""

    model: str = ""
    corpus: str = ""
    question: str = ""
    plan: Plan = field(default_factory=Plan)
    live: tuple[str, str] = ("", "")
    more: tuple[str, ...] = ()


def pocket() -> Demo | None:
    """The bundled demo; None where an installation came without it."""
    if not is_model_directory(str(bundled.POCKET)):
        return None
    return Demo(
        str(bundled.POCKET), str(bundled.SAMPLE_CORPUS), bundled.SUGGESTED_QUESTION, dict(bundled.DEMO_SETTINGS)
    )


def beginning(find_demo: Callable[[], Demo | None] | None, demo_asked: bool = False) -> Beginning:
    """For someone who named neither model nor run. A live run is offered alone: another model would slow it down."""
    demo = find_demo() if find_demo is not None else None
    shown = Beginning(demo.model, demo.corpus, demo.question, demo.plan) if demo is not None else Beginning()
    if demo_asked:
        return shown
    newest_first = list(reversed(list_runs()))
    for run, record in newest_first:
        if is_trained_here(run):
            return Beginning(live=(record.name or record.id, str(run.path)))
    found = next((again for _, record in newest_first if (again := of_run(record)) is not None), shown)
    return shown if (found.model, found.corpus) == (shown.model, shown.corpus) else found


def is_trained_here(run: RunDirectory) -> bool:
    process = owner(run)
    return process is not None and process.is_here


def of_run(record: RunRecord) -> Beginning | None:
    """Its model, and its corpus where that is still there; None when the model is gone."""
    config = (record.prepared or {}).get("config") or record.config
    model = str(config.get("model", ""))
    if not is_model_directory(model):
        return None
    corpora = [str(corpus) for corpus in config.get("corpus") or () if os.path.exists(str(corpus))]
    return Beginning(model, corpora[0] if corpora else "", more=tuple(corpora[1:]))
