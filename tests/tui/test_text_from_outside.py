"""Names and sentences from outside are shown letter by letter, whatever brackets they hold."""

import shutil
from pathlib import Path

from textual.pilot import Pilot
from textual.widgets import Select

from loralab_core.paths import config_dir
from loralab_core.wire import messages as wire
from loralab_tui.app import Options, StudioApp
from loralab_tui.plan import Plan
from loralab_tui.screens.data_view import DataView
from loralab_tui.screens.runs import RunsScreen
from loralab_tui.screens.settings import Settings
from loralab_tui.screens.theme_picker import ThemePicker
from tests.tui.driving import asked, ready, seen, type_line, until
from tests.tui.fake_engine import FakeEngine
from tests.tui.made_runs import made_run

BRACKETS = "[b][final] a[/x]"
ON_DISK = "[b][final] a[x]"  # no slash in the name of a file


async def test_a_place_that_cannot_be_read_is_named_as_it_is(
    engine: FakeEngine, model: Path, corpus: Path, tmp_path: Path
) -> None:
    place = tmp_path / BRACKETS
    shutil.copytree(model, place)
    app = StudioApp(Options(model=str(place), corpus=str(corpus), host="box"), open_engine=engine.open)
    async with app.run_test(size=(120, 40)) as pilot:
        await ready(app, pilot)
        await pilot.press("f10")
        await until(pilot, lambda: isinstance(app.screen, DataView) and "✕" in app.screen.said)
        assert isinstance(app.screen, DataView) and BRACKETS in app.screen.said
        assert str(app.screen.query_one("#marked").render()) == app.screen.said


async def test_an_error_and_an_answer_are_shown_as_they_are(app: StudioApp, engine: FakeEngine) -> None:
    async with app.run_test(size=(120, 40), notifications=True) as pilot:
        await ready(app, pilot)
        app.complain(f"no such file: {BRACKETS}")
        await until(pilot, lambda: BRACKETS in seen(app))
        await type_line(pilot, BRACKETS)
        request = await asked(pilot, engine)
        engine.send(wire.Generated(id=request.id, text=f"answer {BRACKETS}"))
        await until(pilot, lambda: f"answer {BRACKETS}" in seen(app))


async def test_names_of_runs_are_shown_as_they_are() -> None:
    made_run(12, name=BRACKETS)
    made_run(12, name="other")
    app = StudioApp(Options(host="box"))
    async with app.run_test(size=(120, 40)) as pilot:
        await pilot.press("f5")
        await until(pilot, lambda: isinstance(app.screen, RunsScreen) and app.screen.current and BRACKETS in seen(app))
        for key in ("f6", "f4", "delete"):
            await _open_and_leave(app, pilot, key)
        await pilot.press("home", "space", "down", "space", "f3")
        await until(pilot, lambda: not isinstance(app.screen, RunsScreen) and BRACKETS in seen(app), "compared")


async def _open_and_leave(app: StudioApp, pilot: Pilot[None], key: str) -> None:
    below = app.screen
    await pilot.press("home", key)
    await until(pilot, lambda: app.screen is not below and BRACKETS in seen(app), key)
    await pilot.press("escape")
    await until(pilot, lambda: app.screen is below)


async def test_a_setting_of_an_earlier_run_is_shown_as_it_is(app: StudioApp) -> None:
    async with app.run_test(size=(120, 40)) as pilot:
        await ready(app, pilot)
        app.studio.plan = Plan().changed(targets=BRACKETS)
        await pilot.press("f4")
        await until(pilot, lambda: isinstance(app.screen, Settings) and BRACKETS in seen(app))
        assert app.screen.query_one("#targets", Select).value == BRACKETS
        await pilot.click("#targets")
        await until(pilot, lambda: app.screen.query_one("#targets", Select).expanded)


async def test_a_theme_is_listed_by_the_name_of_its_file() -> None:
    file = config_dir() / "themes" / f"{ON_DISK}.toml"
    file.parent.mkdir(parents=True)
    file.write_text('background = "#000000"')
    app = StudioApp(Options(host="box"))
    async with app.run_test(size=(120, 40)) as pilot:
        await pilot.press("alt+n")
        await until(pilot, lambda: isinstance(app.screen, ThemePicker) and ON_DISK in seen(app))
