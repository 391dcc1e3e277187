"""Keys pressed between two states: while an engine opens for a run, while a run is prepared or stopped."""

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from loralab_core.errors import LoraLabError
from loralab_core.wire import messages as wire
from loralab_tui.app import Options, StudioApp
from loralab_tui.runs.view import Phase
from tests.tui.driving import PATIENCE_S, ready, shown, toasts, training, until
from tests.tui.fake_engine import FakeEngine


class Door:
    """Opens at once, until it is `shut`; then whoever opens an engine waits, and hears of `trouble` if there is any."""

    def __init__(self, engine: FakeEngine) -> None:
        self.engine = engine
        self.opened = threading.Event()
        self.opened.set()
        self.waiting = 0
        self.trouble: Exception | None = None

    def shut(self) -> None:
        self.opened.clear()
        self.waiting = 0

    def __call__(self, model: str, base: str, device: str, progress: object, run: str = "") -> Path:
        self.waiting += 1
        assert self.opened.wait(PATIENCE_S)
        if self.trouble is not None:
            raise self.trouble
        return self.engine.socket


@pytest.fixture
def door(engine: FakeEngine) -> Iterator[Door]:
    door = Door(engine)
    yield door
    door.opened.set()


@pytest.fixture
def app(door: Door, model: Path, corpus: Path) -> StudioApp:
    return StudioApp(Options(model=str(model), corpus=str(corpus), host="box"), open_engine=door)


async def resuming(app: StudioApp, pilot, engine: FakeEngine, door: Door) -> None:
    """A run was stopped and left by its engine; F2 takes it up, and the engine is a while coming."""
    await training(app, pilot, engine)
    await app.runs.stop()
    await until(pilot, lambda: phase(app) is Phase.STOPPED)
    await app.link.close()
    door.shut()
    await pilot.press("f2")
    await until(pilot, lambda: door.waiting and phase(app) is Phase.PREPARING)


def phase(app: StudioApp) -> Phase | None:
    return app.studio.run.phase if app.studio.run else None


def idle(app: StudioApp) -> bool:
    return not any(worker.group in ("run", "engine") for worker in app.workers)


def resumed(engine: FakeEngine) -> bool:
    return any(isinstance(request, wire.Resume) for request in engine.asked)


async def test_another_model_meanwhile_leaves_the_run_alone(
    app: StudioApp, engine: FakeEngine, door: Door, model: Path
) -> None:
    async with app.run_test(size=(120, 40)) as pilot:
        await resuming(app, pilot, engine, door)
        app.do("engine", app.setup.use_model, str(model))
        await until(pilot, lambda: app.studio.run is None)
        door.opened.set()
        await until(pilot, lambda: door.waiting == 2 and app.studio.status and not app.studio.opening)
        await until(pilot, lambda: idle(app))
        assert not resumed(engine) and app.studio.run is None and toasts(app) == []


async def test_another_model_meanwhile_begins_no_run(
    app: StudioApp, engine: FakeEngine, door: Door, model: Path
) -> None:
    async with app.run_test(size=(120, 40)) as pilot:
        await ready(app, pilot)
        await app.link.close()
        door.shut()
        await pilot.press("f2")
        await until(pilot, lambda: door.waiting)
        app.do("engine", app.setup.use_model, "owner/another")
        await until(pilot, lambda: app.studio.model == "owner/another")
        door.opened.set()
        await until(pilot, lambda: idle(app))
        assert not [one for one in engine.asked if isinstance(one, wire.Train)] and toasts(app) == []


async def test_f9_meanwhile_gives_the_opening_up(app: StudioApp, engine: FakeEngine, door: Door) -> None:
    async with app.run_test(size=(120, 40)) as pilot:
        await resuming(app, pilot, engine, door)
        await pilot.press("f9")
        await until(pilot, lambda: phase(app) is Phase.STOPPED)
        assert app.screen is app.main and toasts(app) == [] and not resumed(engine)


async def test_leaving_meanwhile_gives_it_up_too(app: StudioApp, engine: FakeEngine, door: Door) -> None:
    async with app.run_test(size=(120, 40)) as pilot:
        await resuming(app, pilot, engine, door)
        await pilot.press("ctrl+q")
        await until(pilot, lambda: app.screen.id == "leave")
        await pilot.press("right", "enter")
        await until(pilot, lambda: "is stopped" in app.farewell)


@pytest.mark.parametrize("trouble", [FileNotFoundError(2, "No usable temporary directory found"), LoraLabError("no")])
async def test_an_engine_that_cannot_start_puts_the_run_back(
    app: StudioApp, engine: FakeEngine, door: Door, trouble: Exception
) -> None:
    async with app.run_test(size=(120, 40)) as pilot:
        await resuming(app, pilot, engine, door)
        door.trouble = trouble
        door.opened.set()
        await until(pilot, lambda: phase(app) is Phase.STOPPED)
        await until(pilot, lambda: len(toasts(app)) == 1)


async def test_f2_on_a_run_that_is_prepared_or_stopped_says_what_happens_by_itself(
    app: StudioApp, engine: FakeEngine
) -> None:
    async with app.run_test(size=(120, 40)) as pilot:
        await ready(app, pilot)
        await pilot.press("f2")
        await until(pilot, lambda: phase(app) is Phase.PREPARING)
        app.main.show()
        assert app.main.query_one("#chip-train").has_class("-idle")
        await pilot.press("f2")
        await until(pilot, lambda: any("begins by itself; F9 stops it" in note for note in toasts(app)))
        engine.steps(1, 3)
        await until(pilot, lambda: phase(app) is Phase.TRAINING)
        engine.frozen = True
        await pilot.press("f9")
        await until(pilot, lambda: app.screen is not app.main)
        await pilot.press("right", "enter")
        await until(pilot, lambda: phase(app) is Phase.STOPPING)
        assert app.main.query_one("#chip-train").has_class("-idle")
        await pilot.press("f2")
        await until(pilot, lambda: any("is being stopped" in note for note in toasts(app)))
        assert "F2 Stopping" in shown(app, "#chip-train")
