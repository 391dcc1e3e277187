"""A run that trains all weights has an engine of its own: the screen makes the run, then opens that."""

from pathlib import Path

import pytest
from textual.pilot import Pilot

from loralab_core.runs.directory import RunDirectory
from loralab_core.wire import messages as wire
from loralab_core.wire.registry import list_engines
from loralab_tui.app import Options, StudioApp
from loralab_tui.plan import plan_from
from loralab_tui.runs.view import Phase
from loralab_tui.widgets.message import ChatMessage
from tests.tui.driving import ready, type_line, until
from tests.tui.fake_engine import FakeEngine


class Opened:
    """Which engines were asked for: that of a run, or (empty) the shared one."""

    def __init__(self, engine: FakeEngine) -> None:
        self.engine = engine
        self.runs: list[str] = []

    def __call__(self, model: str, base: str, device: str, progress: object, run: str = "") -> Path:
        self.runs.append(RunDirectory(Path(run)).record().engine_mode if run else "")
        return self.engine.socket


@pytest.fixture
def opened(engine: FakeEngine) -> Opened:
    return Opened(engine)


async def begun_with_all_weights(app: StudioApp, pilot: Pilot[None], engine: FakeEngine) -> None:
    await ready(app, pilot)
    app.studio.plan = plan_from({"mode": "full", "steps": "30"})
    await pilot.press("f2")
    await until(pilot, lambda: engine.run)


async def test_it_is_made_begun_and_taken_up_again_in_its_own_engine(
    engine: FakeEngine, opened: Opened, model: Path, corpus: Path
) -> None:
    app = StudioApp(Options(model=str(model), corpus=str(corpus), host="box"), open_engine=opened)
    async with app.run_test(size=(120, 40)) as pilot:
        await begun_with_all_weights(app, pilot, engine)
        run = RunDirectory(Path(engine.run or ""))
        assert opened.runs == ["", run.record().id] and run.record().asked == {"mode": "full", "steps": 30}
        assert engine.last(wire.Resume).run == str(run.path)
        engine.event(event="prepared", step=0, steps=30, corpus="plain text, 1 document")
        engine.steps(1, 5, total=30)
        engine.event(event="stopped", run=str(run.path), model=None, steps=5, tokens=1, seconds=1.0)
        await until(pilot, lambda: app.studio.run and app.studio.run.phase is Phase.STOPPED)
        await pilot.press("f2")
        await until(pilot, lambda: len([one for one in engine.asked if isinstance(one, wire.Resume)]) == 2)
        assert opened.runs[2:] == [run.record().id]


async def test_an_adapter_after_it_is_trained_on_the_shared_model(
    engine: FakeEngine, opened: Opened, model: Path, corpus: Path
) -> None:
    app = StudioApp(Options(model=str(model), corpus=str(corpus), host="box"), open_engine=opened)
    async with app.run_test(size=(120, 40)) as pilot:
        await begun_with_all_weights(app, pilot, engine)
        engine.event(event="done", run=engine.run, model=None, steps=30, tokens=1, seconds=1.0)
        engine.run = None
        await until(pilot, lambda: app.studio.run and app.studio.run.phase is Phase.DONE)
        app.studio.plan = plan_from({"steps": "30"})
        await app.runs.train_key()
        await until(pilot, lambda: [one for one in engine.asked if isinstance(one, wire.Train)])
        assert opened.runs[-1] == "" and engine.last(wire.Train).config["mode"] == "adapter"


@pytest.mark.slow
async def test_trained_asked_left_and_taken_up_again_for_real(
    fixtures_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LORALAB_ENGINE_IDLE_S", "600")  # the shared engine, which nobody asks, is counted at the end
    model, corpus = fixtures_dir / "models" / "stories260K", fixtures_dir / "corpora" / "the-verdict.txt"
    app = StudioApp(Options(model=str(model), corpus=str(corpus), host="box"))
    async with app.run_test(size=(120, 40)) as pilot:
        await ready(app, pilot)
        app.studio.plan = plan_from({"mode": "full", "steps": "100000", "seq_len": "64", "batch": "2"})
        await app.runs.train_key()
        await until(pilot, lambda: app.studio.run and len(app.studio.run.curve) >= 3, "a curve")
        await app.runs.stop()
        await until(pilot, lambda: app.studio.run and app.studio.run.phase is Phase.STOPPED, "stopped")
    again = StudioApp(Options(attach="last", host="box"))
    async with again.run_test(size=(120, 40)) as pilot:
        await until(pilot, lambda: again.studio.status, "the engine of the run")
        assert again.main.chat.speaker.value == "lora"
        await type_line(pilot, "Once upon a time")
        await until(pilot, lambda: [one for one in said_by_lora(again) if one.text and not one.streaming], "an answer")
        before = again.studio.run.step if again.studio.run else 0
        await again.runs.train_key()
        await until(pilot, lambda: again.studio.run and again.studio.run.step > before, "it goes on")
        await again.runs.stop()
    assert len(list_engines()) == 2  # the shared one of the beginning, and the run's


def said_by_lora(app: StudioApp) -> list[ChatMessage]:
    return [one for one in app.main.chat.query(ChatMessage) if one.speaker == "lora"]
