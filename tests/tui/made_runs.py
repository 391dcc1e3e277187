"""Runs as an engine would have left them, written through the real record and the real log of events."""

import math
from typing import Any

from loralab_core.runs.config import TrainConfig
from loralab_core.runs.directory import RunDirectory, create_run
from tests.runs.writing import write
from tests.tui.fake_engine import falling, step_event


def made_run(
    steps: int = 20, end: str | None = "done", total: int | None = None, pace: float = 1.0, **config: Any
) -> RunDirectory:
    """`end`: its last event; None for a run that was killed. `pace`: how quickly its loss falls."""
    settings = {"model": "/models/tiny", "corpus": ("/data/plays.txt",), **config}
    run = create_run(TrainConfig(**settings))
    total = total or steps
    write(run, {"event": "prepared", "steps": total}, *made_steps(1, steps, total, pace))
    if steps >= 10:
        loss = falling(pace * steps)
        write(run, {"event": "eval", "step": steps, "loss": loss, "perplexity": math.exp(loss)})
        write(run, {"event": "checkpoint", "step": steps})
    if end is not None:
        write(run, {"event": end, "steps": steps, "seconds": 65.0, "why": "" if end == "done" else "because of that"})
    return run


def made_steps(first: int, last: int, total: int = 100, pace: float = 1.0) -> list[dict[str, Any]]:
    return [step_event(step, total, falling(pace * step)) for step in range(first, last + 1)]
