"""The demo as a newcomer meets it: seconds from pressing Train to a curve that falls, and to another manner.

    python benchmarks/demo.py [--out FILE]

Drives the real studio (without a terminal) and a real engine through the keys, on the bundled model and corpus, in an
empty LORALAB_HOME. Not a test: nothing fails here.
"""

import asyncio
import json
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from report import command_line, machine, publish

FALLEN = 0.8  # of the first loss: nobody overlooks that on the chart
PATIENCE_S = 600.0


def main() -> None:
    parser = command_line(__doc__)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as home:
        os.environ |= {"LORALAB_HOME": home, "LORALAB_ENGINE_IDLE_S": "2"}
        report = {"machine": machine(), **asyncio.run(measure())}
    publish(report, arguments.out)


async def measure() -> dict[str, object]:
    from loralab_tui.app import Options, StudioApp
    from loralab_tui.beginning import pocket
    from loralab_tui.runs.view import Phase

    began = time.monotonic()
    app = StudioApp(Options(demo=True, host="laptop"), demo=pocket)
    async with app.run_test(size=(120, 40)) as pilot:
        await until(lambda: app.studio.status and app.studio.status.loaded)
        report: dict[str, object] = {"model_read_s": time.monotonic() - began}
        began = time.monotonic()
        await pilot.press("f2")
        await until(lambda: app.studio.run and app.studio.run.step)
        run = app.studio.run
        assert run is not None
        report["first_step_s"] = time.monotonic() - began
        losses = run.curve.losses
        await until(lambda: sum(losses[-3:]) / len(losses[-3:]) < FALLEN * losses[0])
        report |= {"fallen_s": time.monotonic() - began, "fallen_at_step": run.step}
        await until(lambda: run.phase in (Phase.DONE, Phase.FAILED))
        report |= {"done_s": time.monotonic() - began, "steps": run.step, "ended": run.phase.value}
        report["answers"] = answers(Path(run.directory))
    return report


def answers(run: Path) -> list[dict[str, object]]:
    """What the fixed prompts were answered, with the seconds since the first event of the run."""
    events = [json.loads(line) for line in (run / "events.jsonl").read_text().splitlines()]
    began = events[0]["time"]
    return [
        {"after_s": round(event["time"] - began, 1), **{name: event[name] for name in ("step", "prompt", "text")}}
        for event in events
        if event["event"] == "sample"
    ]


async def until(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        if time.monotonic() > deadline:
            raise SystemExit("this took too long")
        await asyncio.sleep(0.02)


if __name__ == "__main__":
    main()
