"""F6: what stays behind when another model is chosen, and what does not when it is the same one."""

from pathlib import Path
from typing import Any

import pytest
from textual.widgets import Input

from loralab_tui.app import Options, StudioApp
from loralab_tui.beginning import Demo
from loralab_tui.data.model_names import same_model
from loralab_tui.engine.events import EngineReport
from loralab_tui.plan import Plan
from tests.tui.driving import ready, toasts, training, until
from tests.tui.fake_engine import FakeEngine

MADE = {"rank": 8, "lr": 1e-3, "steps": 120, "seq_len": 256}


@pytest.fixture
def other(tmp_path: Path) -> Path:
    place = tmp_path / "models" / "other"
    place.mkdir(parents=True)
    (place / "config.json").write_text("{}")
    return place


@pytest.fixture
def newcomer(engine: FakeEngine, model: Path, corpus: Path) -> StudioApp:
    demo = Demo(str(model), str(corpus), "Who are you?", MADE)
    return StudioApp(Options(host="box"), open_engine=engine.open, demo=lambda: demo)


def said(app: StudioApp, text: str) -> bool:
    return any(text in note for note in toasts(app))


async def changed(app: StudioApp, pilot: Any, **settings: str) -> None:
    """As typed into F4."""
    before = app.studio.plan
    await pilot.press("f4")
    await until(pilot, lambda: app.screen.query("#steps"))
    for name, text in settings.items():
        app.screen.query_one(f"#{name}", Input).value = text
    await pilot.press("enter")
    await until(pilot, lambda: app.studio.plan != before, "kept")


async def test_what_was_chosen_stays_and_what_came_with_the_demo_is_reset(newcomer: StudioApp, other: Path) -> None:
    app = newcomer
    async with app.run_test(size=(120, 40)) as pilot:
        await ready(app, pilot)
        await changed(app, pilot, rank="32", name="mine", seq_len="128")
        app.change_model(str(other))
        await until(pilot, lambda: app.studio.model == str(other))
        assert app.studio.plan.asked_dict == {"rank": 32, "name": "mine", "seq_len": 128}
        assert said(app, "made for tiny are the defaults again (learning rate, steps); F4 changes them.")


async def test_where_nothing_is_reset_nothing_is_said(app: StudioApp, other: Path) -> None:
    async with app.run_test(size=(120, 40)) as pilot:
        await ready(app, pilot)
        await changed(app, pilot, rank="32")
        app.change_model(str(other))
        await until(pilot, lambda: app.studio.model == str(other))
        assert app.studio.plan == Plan().changed(rank=32) and not toasts(app)


async def test_a_run_is_left_only_with_another_model(app: StudioApp, engine: FakeEngine, other: Path) -> None:
    async with app.run_test(size=(120, 40)) as pilot:
        await training(app, pilot, engine)
        run = app.studio.run
        app.change_model(str(app.studio.model))
        await until(pilot, lambda: app.studio.run is not run and app.studio.live, "followed again")
        assert not said(app, "without being watched")
        engine.run = None  # the other model has an engine of its own
        app.change_model(str(other))
        await until(pilot, lambda: said(app, "The run goes on without being watched; F5 shows it again."))


async def test_a_dropped_model_says_it_too(app: StudioApp, engine: FakeEngine, other: Path) -> None:
    async with app.run_test(size=(120, 40)) as pilot:
        await training(app, pilot, engine)
        engine.run = None
        app._drop_model(str(other))
        await until(pilot, lambda: said(app, "without being watched") and app.studio.model == str(other))


def test_a_model_is_the_same_by_its_id_its_download_and_a_link(model: Path, other: Path) -> None:
    link = model.with_name("link")
    link.symlink_to(model)
    assert same_model(str(model), str(link)) and not same_model(str(model), str(other))
    cached = "/c/hub/models--HuggingFaceTB--SmolLM2-135M/snapshots/93efa2f0"
    assert same_model(cached, "HuggingFaceTB/SmolLM2-135M") and not same_model(cached, "SmolLM2-135M")


async def test_the_last_report_of_the_engine_before_is_not_the_next_ones(app: StudioApp) -> None:
    async with app.run_test(size=(120, 40)) as pilot:
        await ready(app, pilot)
        before = app.studio.status
        assert before is not None
        await app.link.close()
        app.studio.status = None
        app.post_message(EngineReport(before))
        await pilot.pause()
        assert app.studio.status is None
