"""A run whose engine outlived an update: its curve is shown, and why it cannot be followed."""

from pathlib import Path

from loralab_core.runs.config import TrainConfig
from loralab_core.runs.directory import create_run
from loralab_core.runs.events import EventLog
from loralab_core.runs.owner import claim, release
from loralab_core.wire.registry import describe, register, socket_path, unregister
from loralab_tui.app import Options, StudioApp
from tests.tui.driving import shown, toasts, until
from tests.tui.fake_engine import FakeEngine, step_event
from tests.wire.fake_engine import FirstVersion


async def test_its_curve_is_shown_and_why_it_cannot_be_followed(engine: FakeEngine, model: Path, corpus: Path) -> None:
    run = create_run(TrainConfig(model=str(model), corpus=(str(corpus),)))
    log = EventLog(run.events_path)
    for step in (1, 2, 3):
        log.append(step_event(step, 100, 2.0))
    log.close()
    claim(run)
    register(describe("outlived", model=str(model), base="fp32", device="cpu"))
    app = StudioApp(Options(attach=str(run.path), host="box"), open_engine=engine.open)
    try:
        with FirstVersion(socket_path("outlived"), run=str(run.path)):
            async with app.run_test(size=(120, 40)) as pilot:
                await until(pilot, lambda: "The engine is of another version" in shown(app, "#card"))
                said = "F2 begins again: no checkpoint was written yet, once that engine has ended"
                assert said in shown(app, "#card")
                assert app.studio.run is not None and len(app.studio.run.curve) == 3
                assert len(toasts(app)) == 1 and "by another version of LoRA Lab" in toasts(app)[0]
    finally:
        release(run)
        unregister("outlived")
