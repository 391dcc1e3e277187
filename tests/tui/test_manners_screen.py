"""On the running screen: jump labels, ASCII, no colour, small terminals, no pauses."""

import os
from pathlib import Path

import pytest
from textual import events
from textual.widgets import Input

from loralab_core.wire import messages as wire
from loralab_tui.actions import manners
from loralab_tui.app import StudioApp
from loralab_tui.config import keymap
from loralab_tui.runs.view import Phase
from loralab_tui.screens.confirm import Confirm
from loralab_tui.screens.help import Help
from loralab_tui.screens.jump import LETTERS, Jump
from loralab_tui.screens.settings import Settings
from tests.tui.driving import ready, seen, strike, training, until
from tests.tui.fake_engine import FakeEngine

SSH = "203.0.113.9 50022 198.51.100.4 22"


def paste(app: StudioApp, text: str) -> None:
    """As the terminal's driver hands it on."""
    app.post_message(events.Paste(text))


# ---- jump labels


async def labels(app: StudioApp, pilot: object) -> dict[str, str]:
    """Letter by the id or class of what it stands on."""
    await app.run_action("jump")
    await until(pilot, lambda: isinstance(app.screen, Jump))
    assert isinstance(app.screen, Jump)
    return {place.widget.id or type(place.widget).__name__: letter for letter, place in app.screen.places.items()}


async def test_a_label_does_what_a_click_there_does(app: StudioApp, engine: FakeEngine) -> None:
    async with app.run_test(size=(120, 40)) as pilot:
        await training(app, pilot, engine)
        found = await labels(app, pilot)
        assert {"chip-model", "chip-train", "option-both", "prompt", "KeyHint"} <= set(found)
        await pilot.press(found["option-both"])
        await until(pilot, lambda: app.main.chat.speaker.value == "both")
        found = await labels(app, pilot)
        await pilot.press("escape")
        assert app.screen is app.main and not app.main.chat.prompt.text
        app.main.training.focus()
        await labels(app, pilot)
        await pilot.press(found["prompt"])
        await until(pilot, lambda: app.main.chat.prompt.has_focus)


async def test_a_label_on_settings_opens_them(app: StudioApp) -> None:
    async with app.run_test(size=(80, 24)) as pilot:
        await ready(app, pilot)
        found = await labels(app, pilot)
        await pilot.press(found["chip-settings"])
        await until(pilot, lambda: isinstance(app.screen, Settings))


async def test_in_a_question_a_label_moves_the_focus_and_answers_nothing(app: StudioApp, engine: FakeEngine) -> None:
    async with app.run_test(size=(80, 24)) as pilot:
        await training(app, pilot, engine)
        await pilot.press("f9")
        await until(pilot, lambda: isinstance(app.screen, Confirm) and app.focused)
        await pilot.press("ctrl+o")
        await until(pilot, lambda: isinstance(app.screen, Jump))
        assert isinstance(app.screen, Jump)
        (letter,) = (place.letter for place in app.screen.places.values() if place.widget.id == "stop")
        await pilot.press(letter)
        await until(pilot, lambda: app.focused and app.focused.id == "stop")
        assert isinstance(app.screen, Confirm) and app.studio.live
        await pilot.press("f1")
        await until(pilot, lambda: isinstance(app.screen, Help))
        await pilot.press("escape", "enter")
        await until(pilot, lambda: app.studio.run and app.studio.run.phase is Phase.STOPPED)


async def test_no_label_ends_anything_by_itself(app: StudioApp, engine: FakeEngine) -> None:
    async with app.run_test(size=(120, 40)) as pilot:
        await training(app, pilot, engine)
        for letter in LETTERS:
            await labels(app, pilot)
            strike(app, letter)
            await pilot.pause()
            while app.screen is not app.main:
                await pilot.press("escape")
        assert not any(isinstance(request, wire.Stop) for request in engine.asked)
        assert app.studio.live and app.is_running


# ---- what the terminal can show


async def test_in_ascii_nothing_else_is_written(
    app: StudioApp, engine: FakeEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LORALAB_ASCII", "1")
    plain = StudioApp(app.options, open_engine=engine.open)
    async with plain.run_test(size=(120, 40)) as pilot:
        await training(plain, pilot, engine)
        for key in ("f1", "f5", "f6", "f9"):
            await pilot.press(key)
            await until(pilot, lambda: plain.screen is not plain.main)
            await pilot.pause()
            assert seen(plain).isascii(), key
            await pilot.press("escape")
        assert seen(plain).isascii()
        assert "* Base" in seen(plain) and "o LoRA" in seen(plain) and "====" in seen(plain)


async def test_without_colour_there_is_none_and_children_still_know(
    app: StudioApp, engine: FakeEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    plain = StudioApp(app.options, open_engine=engine.open)
    assert os.environ["NO_COLOR"] == "1"
    async with plain.run_test(size=(120, 40)) as pilot:
        await training(plain, pilot, engine)
        await pilot.press("f9")
        await until(pilot, lambda: isinstance(plain.screen, Confirm) and plain.focused)
        styles = [segment.style for strip in plain.screen._compositor.render_strips() for segment in strip]
        for style in (style for style in styles if style):
            for colour in (style.color, style.bgcolor):
                assert colour is None or colour.is_default, style
        focused = [str(style) for style in styles if style and style.reverse]
        assert focused, "the button with the focus is marked without colour"


@pytest.mark.parametrize("size", [(80, 24), (60, 20), (40, 12), (24, 6)])
async def test_every_dialog_opens_on_a_small_terminal(
    app: StudioApp, engine: FakeEngine, size: tuple[int, int]
) -> None:
    async with app.run_test(size=size) as pilot:
        await training(app, pilot, engine)
        for name in (action.id for action in keymap.ACTIONS if action.id not in ("train", "quit")):
            await app.run_action(name)
            await pilot.pause()
            if app.screen is not app.main and size[0] >= 60:
                for box in app.screen.query(".dialog"):
                    assert app.screen.region.contains_region(box.region), name
            while app.screen is not app.main:
                await pilot.press("escape")
        await pilot.resize_terminal(120, 40)
        await pilot.pause()
        assert app.studio.live


async def test_a_terminal_that_is_too_small_says_so(app: StudioApp) -> None:
    async with app.run_test(size=(30, 8)) as pilot:
        await until(pilot, lambda: "40" in seen(app) and "12" in seen(app))
        await pilot.resize_terminal(80, 24)
        await until(pilot, lambda: "CHAT" in seen(app) or "Chat" in seen(app))


async def test_no_screen_makes_textual_read_all_styles_anew(app: StudioApp, engine: FakeEngine) -> None:
    """That takes a fifth of a second, in which no key is answered."""
    async with app.run_test(size=(120, 40)) as pilot:
        await training(app, pilot, engine)
        styles = sorted((Path(manners.__file__).parents[1] / "screens").glob("*.tcss"))
        await until(pilot, lambda: all(app.stylesheet.has_source(str(path), "") for path in styles))
        before = app.stylesheet.source
        other = ("train", "quit", "theme", "themes")  # other colours do mean other styles
        for name in (action.id for action in keymap.ACTIONS if action.id not in other):
            await app.run_action(name)
            await pilot.pause()
            while app.screen is not app.main:
                await pilot.press("escape")
            assert app.stylesheet.source is before, name


async def test_the_palette_lists_everything_at_once_and_does_what_is_chosen(app: StudioApp) -> None:
    async with app.run_test(size=(120, 40)) as pilot:
        await ready(app, pilot)
        await pilot.press("ctrl+p")
        await until(pilot, lambda: "Let LoRA answer" in seen(app), "the list, before anything is typed")
        await pilot.press(*"three")
        await until(pilot, lambda: "Let LoRA answer" not in seen(app), "only what matches")
        await pilot.press("enter")
        await until(pilot, lambda: type(app.screen).__name__ == "Samples", "the screen of the three prompts")


@pytest.mark.parametrize("key", ["ctrl+p", "f4", "f5", "f6", "f7", "ctrl+g"])
async def test_no_cursor_blinks(key: str, app: StudioApp) -> None:
    """Over a slow line an idle screen is to write nothing, not two frames a second."""
    async with app.run_test(size=(120, 40)) as pilot:
        await ready(app, pilot)
        await pilot.press(key)
        await until(pilot, lambda: app.screen is not app.main and app.screen.query("Input"), "a screen with a field")
        await until(pilot, lambda: not any(field.cursor_blink for field in app.screen.query(Input)))
