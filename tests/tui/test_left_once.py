"""A screen that lies on the main one acts on nothing but itself, and is left once however often that is asked for."""

from pathlib import Path

from textual import events
from textual.widgets import Input

from loralab_tui.app import StudioApp
from loralab_tui.screens.compare_runs import CompareRuns
from loralab_tui.screens.corpus_picker import CorpusPicker
from loralab_tui.screens.model_picker import ModelPicker
from loralab_tui.screens.runs import RunsScreen
from tests.tui.driving import ready, seen, until
from tests.tui.made_runs import made_run


def hit(app: StudioApp, *keys: str) -> None:
    """Keys as they come from a terminal, faster than any of them is acted on."""
    for key in keys:
        app.post_message(events.Key(key, "\r" if key == "enter" else None))


async def test_a_second_enter_leaves_the_main_screen_where_it_is(app: StudioApp) -> None:
    async with app.run_test(size=(120, 40)) as pilot:
        await ready(app, pilot)
        await pilot.press("f6")
        await until(pilot, lambda: isinstance(app.screen, ModelPicker))
        hit(app, "enter", "enter")
        await until(pilot, lambda: not isinstance(app.screen, ModelPicker))
        await pilot.pause()
        assert app.screen is app.main


async def test_what_is_read_too_late_takes_nothing_away(app: StudioApp) -> None:
    async with app.run_test(size=(120, 40)) as pilot:
        await ready(app, pilot)
        await pilot.press("f7")
        await until(pilot, lambda: isinstance(app.screen, CorpusPicker))
        picker = app.screen
        await pilot.press("escape")
        await until(pilot, lambda: app.screen is app.main)
        picker.dismiss(app.studio.corpus)
        await pilot.pause()
        assert app.screen is app.main


async def test_the_palette_of_a_screen_offers_nothing_that_acts_on_the_one_below(app: StudioApp, home: Path) -> None:
    async with app.run_test(size=(120, 40)) as pilot:
        await ready(app, pilot)
        await pilot.press("f5")
        await until(pilot, lambda: isinstance(app.screen, RunsScreen))
        offered = " ".join(command.title for command in app.get_system_commands(app.screen))
        assert "Rename (F6)" in offered and "Help (F1)" in offered
        assert "Model (F6)" not in offered and "Train (F2)" not in offered


async def test_a_run_without_a_step_can_be_compared(app: StudioApp, home: Path) -> None:
    begun, not_yet = made_run(20), made_run(0, None, 10)
    async with app.run_test(size=(120, 40)) as pilot:
        await ready(app, pilot)
        compared = CompareRuns(str(begun.path), str(not_yet.path))
        app.push_screen(compared)
        await until(pilot, lambda: compared.readings and "A ━" in seen(app) and "B ━" in seen(app))
        assert app.is_running and compared.chart.built


async def test_what_is_wrong_with_a_model_stays_to_be_read(app: StudioApp, tmp_path: Path) -> None:
    """The list of models is filled by a thread; its word about an empty folder does not take the place."""
    (empty := tmp_path / "empty").mkdir()
    async with app.run_test(size=(120, 40)) as pilot:
        await ready(app, pilot)
        await pilot.press("f6")
        await until(pilot, lambda: isinstance(app.screen, ModelPicker))
        picker = app.screen
        assert isinstance(picker, ModelPicker)
        picker.query_one(Input).value = str(empty)
        await pilot.press("enter")
        await until(pilot, lambda: picker.is_wrong)
        picker._show([])
        assert "holds no model" in str(picker.query_one("#said").render())
        picker.query_one(Input).value = "owner/"
        await until(pilot, lambda: not picker.is_wrong, "typing on takes it back")
