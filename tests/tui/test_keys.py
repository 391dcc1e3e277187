"""Letters only ever type; function keys act while one types; the safe answer has the focus."""

import asyncio
import string
from pathlib import Path

import pytest
from textual.pilot import Pilot
from textual.screen import Screen
from textual.widget import Widget
from textual.widgets import Button, DataTable, Input

from loralab_core.wire import messages as wire
from loralab_tui.app import Options, StudioApp
from loralab_tui.config import keymap
from loralab_tui.runs.view import Phase
from loralab_tui.screens.confirm import Confirm
from loralab_tui.screens.help import Help, notes
from loralab_tui.screens.jump import Jump
from loralab_tui.screens.main import MainScreen
from tests.tui.driving import ready, strike, toasts, training, until
from tests.tui.fake_engine import FakeEngine

BREATH_S = 0.001  # of 0 one would wait at full speed
PRINTABLE = list(string.printable.strip())


async def test_every_printable_key_types_wherever_the_focus_is(app: StudioApp, engine: FakeEngine) -> None:
    async with app.run_test(size=(120, 40)) as pilot:
        await training(app, pilot, engine)
        for place in (app.main.chat.prompt, app.main.chat.transcript, app.main.training):
            app.main.chat.prompt.clear()
            for count, letter in enumerate(PRINTABLE, 1):
                app.main.set_focus(place)  # the letter before has moved it to the prompt
                strike(app, letter)
                await _typed(app, count)
            assert app.main.chat.prompt.text == "".join(PRINTABLE)
        assert app.screen is app.main
        assert {type(request) for request in engine.asked} <= {wire.Status, wire.Train}
        assert app.studio.run is not None and app.studio.run.phase is Phase.TRAINING


async def _typed(app: StudioApp, count: int) -> None:
    """Wait until that many letters stand in the prompt; much shorter than waiting for all to be idle."""
    async with asyncio.timeout(10):
        while len(app.main.chat.prompt.text) < count:
            await asyncio.sleep(BREATH_S)


async def test_no_printable_key_does_anything_in_a_question(app: StudioApp, engine: FakeEngine) -> None:
    async with app.run_test(size=(80, 24)) as pilot:
        await training(app, pilot, engine)
        for key in ("f9", "ctrl+q"):
            await pilot.press(key)
            await until(pilot, lambda: isinstance(app.screen, Confirm))
            for letter in (*PRINTABLE, " "):
                strike(app, letter)
            await pilot.pause()
            assert isinstance(app.screen, Confirm)
            await pilot.press("escape")
        assert not any(isinstance(request, wire.Stop) for request in engine.asked)


STATES = ("nothing chosen", "ready", "training", "paused", "done")
ACTS_AT_ONCE = {"train", "quit"}  # what begins or leaves without a screen of its own is pressed elsewhere


@pytest.mark.slow
@pytest.mark.parametrize("state", STATES)
async def test_no_printable_key_starts_stops_or_deletes_anything_on_any_screen(
    state: str, app: StudioApp, engine: FakeEngine, home: Path
) -> None:
    """Whatever an action opens, every key goes to every place there that takes the focus.

    Where it opens nothing, the main screen is as it was but for what the action did: then to where the focus stands.
    """
    app = StudioApp(Options(host="box"), open_engine=engine.open) if state == STATES[0] else app
    async with app.run_test(size=(120, 40)) as pilot:
        await _bring_to(state, app, pilot, engine)
        asked = [type(request) for request in engine.asked if type(request) in CHANGES]
        struck: set[Screen[object]] = set()
        kept, phase = _places(home), app.studio.run.phase if app.studio.run else None
        for action in (action for action in keymap.ACTIONS if action.id not in ACTS_AT_ONCE):
            await app.run_action(action.id)
            await pilot.pause()
            await _strike(app, pilot, [app.focused] if app.screen in struck else [None, *app.screen.focus_chain])
            await pilot.pause()
            struck.add(app.screen)
            for _ in range(4):
                if app.screen is not app.main:
                    await pilot.press("escape")
            assert app.screen is app.main, f"Esc does not leave what {action.id} opened"
            assert app.is_running and (app.studio.run.phase if app.studio.run else None) is phase, action.id
            assert [type(request) for request in engine.asked if type(request) in CHANGES] == asked, action.id
        assert kept <= _places(home)


CHANGES = (wire.Train, wire.Resume, wire.Stop, wire.Pause, wire.Change, wire.Shutdown)


async def _bring_to(state: str, app: StudioApp, pilot: Pilot[None], engine: FakeEngine) -> None:
    if state == "ready":
        await ready(app, pilot)
    if state not in STATES[2:]:
        return
    await training(app, pilot, engine)
    if state == "paused":
        await pilot.press("f2")
        await until(pilot, lambda: app.studio.run and app.studio.run.phase is Phase.PAUSED)
    if state == "done":
        engine.event(event="done", adapter=None, steps=20, tokens=1, seconds=1.0)
        await until(pilot, lambda: app.studio.run and app.studio.run.phase is Phase.DONE)


async def _strike(app: StudioApp, pilot: Pilot[None], places: list[Widget | None]) -> None:
    screen = app.screen
    if isinstance(screen, Jump):  # the one place where letters act; test_manners_screen presses them
        return
    for place in places:
        if app.screen is not screen:
            return
        app.main.chat.prompt.clear()  # in a long text each letter costs more than the one before
        screen.set_focus(place)
        with app.batch_update():  # drawn once for all keys
            for letter in (*PRINTABLE, " "):
                strike(app, letter)
            pumps = [app, screen, *screen.focus_chain]
            # a pause alone is over after a second, also where keys still wait
            await until(
                pilot, lambda pumps=pumps: not any(each.message_queue_size for each in pumps), "all keys acted on"
            )


def _places(home: Path) -> set[str]:
    """Everything that lies below LORALAB_HOME."""
    return {str(path) for path in home.rglob("*") if "engines" not in path.parts}


async def test_function_keys_act_while_one_types(app: StudioApp, engine: FakeEngine) -> None:
    async with app.run_test(size=(120, 40)) as pilot:
        await training(app, pilot, engine)
        await pilot.press(*"half a thought")
        await pilot.press("f2")
        await until(pilot, lambda: app.studio.run and app.studio.run.phase is Phase.PAUSED)
        assert engine.last(wire.Pause).paused
        await pilot.press("f2")
        await until(pilot, lambda: not engine.last(wire.Pause).paused)
        await pilot.press("f1")
        await until(pilot, lambda: isinstance(app.screen, Help))
        await pilot.press("escape")
        assert app.main.chat.prompt.text == "half a thought"


@pytest.mark.parametrize(("key", "widget"), [("f4", Input), ("f5", DataTable), ("f6", Input), ("f7", Input)])
async def test_dialogs_open_with_the_first_field_focused_and_esc_closes(key: str, widget: type) -> None:
    app = StudioApp(Options(host="box"))
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.press(key)
        await until(pilot, lambda: isinstance(app.focused, widget))
        await pilot.press("escape")
        await until(pilot, lambda: isinstance(app.screen, MainScreen))


async def test_stopping_asks_and_enter_goes_on(app: StudioApp, engine: FakeEngine) -> None:
    async with app.run_test(size=(120, 40)) as pilot:
        await training(app, pilot, engine)
        await pilot.press("f9")
        await until(pilot, lambda: isinstance(app.focused, Button))
        assert app.focused is not None and app.focused.id == "go_on"
        await pilot.press("enter")
        await until(pilot, lambda: app.screen is app.main)
        assert app.studio.live
        await pilot.press("f2")
        await until(pilot, lambda: app.studio.run and app.studio.run.phase is Phase.PAUSED)
        await pilot.press("f9")
        await until(pilot, lambda: isinstance(app.focused, Button) and str(app.focused.label) == "Stay paused")
        await pilot.press("enter")
        await until(pilot, lambda: app.screen is app.main)
        await _stop(app, pilot)
        assert isinstance(engine.last(wire.Stop), wire.Stop)


async def _stop(app: StudioApp, pilot: Pilot[None]) -> None:
    await pilot.press("f9")
    await until(pilot, lambda: isinstance(app.focused, Button))
    await pilot.press("right", "enter")
    await until(pilot, lambda: app.studio.run and app.studio.run.phase is Phase.STOPPED)


async def test_escape_leaves_the_prompt_and_keeps_the_draft(app: StudioApp) -> None:
    async with app.run_test(size=(120, 40)) as pilot:
        await pilot.press(*"draft", "escape")
        assert app.focused is not app.main.chat.prompt
        await pilot.press("escape")
        assert app.focused is app.main.chat.prompt
        assert app.main.chat.prompt.text == "draft"


async def test_commands_can_be_typed(app: StudioApp, engine: FakeEngine) -> None:
    async with app.run_test(size=(120, 40)) as pilot:
        await ready(app, pilot)
        await pilot.press(*"/train", "enter")
        await until(pilot, lambda: engine.run)
        await pilot.press(*"/dance", "enter")
        await until(pilot, lambda: any("/dance" in note for note in toasts(app)))


def test_every_action_has_a_key_of_its_own_a_tooltip_and_a_method() -> None:
    keys = [key for action in keymap.ACTIONS for key in action.key.split(",")]
    assert len(set(keys)) == len(keys)
    assert all(action.tooltip for action in keymap.ACTIONS)
    assert all(hasattr(StudioApp, f"action_{action.id}") for action in keymap.ACTIONS)
    assert sum(len(actions) for _, actions in keymap.groups()) == len(keymap.BY_ID)
    assert sum(action.footer for action in keymap.ACTIONS) <= 6


async def test_every_action_is_in_the_palette_and_among_the_commands() -> None:
    app = StudioApp(Options(host="box"))
    async with app.run_test(size=(80, 24)):
        entries = "\n".join(command.title for command in app.get_system_commands(app.screen))
        assert [action.id for action in keymap.ACTIONS if action.label not in entries] == []


def test_the_page_about_keys_is_the_registry() -> None:
    page = (Path(__file__).parents[2] / "docs" / "keys.md").read_text()
    for action in keymap.ACTIONS:
        keys = " ".join(dict.fromkeys(f"`{keymap.written(key)}`" for key in action.key.split(",")))
        assert f"| {keys} | `/{action.id}` | {action.tooltip} |" in page
    for action in (*keymap.RUNS, *keymap.COMPARE):
        keys = " ".join(f"`{keymap.written(key)}`" for key in action.defaults)
        assert f"| {keys} | {action.tooltip} |" in page
    rows = [line for line in page.splitlines() if line.startswith("| `")]
    assert len(rows) == len(keymap.BY_ID), "an action that is gone stands in docs/keys.md"


def test_where_a_model_is_named_its_file_is_too() -> None:
    assert ".gguf" in keymap.BY_ID["model"].tooltip
    assert any(".gguf" in text for _, text in notes({}))
