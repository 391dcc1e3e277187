"""Whatever a key does, the mouse does too."""

from typing import Any

import pytest
from textual.command import CommandList
from textual.pilot import Pilot
from textual.widget import Widget

from loralab_tui.app import StudioApp
from loralab_tui.config import keymap
from loralab_tui.screens.palette import Palette
from loralab_tui.screens.sampling import SamplingDialog
from loralab_tui.widgets.footer import KeyHint
from loralab_tui.widgets.plot import LOG_SCALE
from tests.tui.driving import ready, seen, training, until
from tests.tui.fake_engine import FakeEngine

PICKED = {action.id for action in keymap.ACTIONS if action.id != "palette"}


class Noted(StudioApp):
    """Notes an action of the registry instead of doing it; only the palette opens."""

    def __init__(self, like: StudioApp, engine: FakeEngine) -> None:
        super().__init__(like.options, open_engine=engine.open)
        self.ran: list[str] = []

    async def run_action(self, action: Any, *args: Any, **kwargs: Any) -> bool:
        if action in PICKED:
            self.ran.append(str(action))
            return True
        return await super().run_action(action, *args, **kwargs)


async def open_palette(app: StudioApp, pilot: Pilot[None]) -> CommandList:
    """By a click at the top left."""
    await pilot.click("#menu")
    await until(pilot, lambda: isinstance(app.screen, Palette), "the palette opened")
    commands = app.screen.query_one(CommandList)
    await until(pilot, lambda: commands.option_count == len(keymap.ACTIONS) and commands.size.height, "all is listed")
    return commands


async def click_on(commands: CommandList, pilot: Pilot[None], label: str) -> None:
    """On the line of the list that begins with this label, which the wheel may have to bring into view."""
    height = commands.virtual_size.height // commands.option_count
    titles = [str(option.prompt) for option in commands.options]
    (number,) = (number for number, title in enumerate(titles) if title.startswith(f"{label} ("))
    commands.scroll_to(y=number * height, animate=False)
    await pilot.pause()
    inside = commands.content_region.offset - commands.region.offset
    await pilot.click(commands, offset=inside + (4, number * height - commands.scroll_offset.y))


@pytest.mark.slow
async def test_every_action_is_done_by_clicks_alone_on_the_smallest_usual_screen(
    app: StudioApp, engine: FakeEngine
) -> None:
    noted = Noted(app, engine)
    async with noted.run_test(size=(80, 24)) as pilot:
        await ready(noted, pilot)
        for action in keymap.ACTIONS:
            commands = await open_palette(noted, pilot)
            await click_on(commands, pilot, action.label)
            if action.id == "palette":
                await until(pilot, lambda: isinstance(noted.screen, Palette) and noted.screen.is_current)
                await pilot.press("escape")
            else:
                await until(pilot, lambda id=action.id: noted.ran[-1:] == [id], action.id)
            await until(pilot, lambda: noted.screen is noted.main)


@pytest.mark.parametrize("size", [(80, 24), (120, 40)])
async def test_the_last_line_has_room_for_its_six_keys(size: tuple[int, int], app: StudioApp) -> None:
    async with app.run_test(size=size) as pilot:
        await ready(app, pilot)
        hints = list(app.main.footer.query(KeyHint))
        assert len(hints) == 6 and all(app.main.region.contains_region(hint.region) for hint in hints)
        last = seen(app).splitlines()[-1]
        assert all(f"{hint.action.key_label} {hint.action.label}" in last for hint in hints)


async def test_how_it_answers_is_clicked_above_the_prompt_where_there_is_a_row_for_it(app: StudioApp) -> None:
    async with app.run_test(size=(120, 40)) as pilot:
        await ready(app, pilot)
        line: Widget = app.main.chat.sampling_line
        assert "temperature 0.7" in seen(app)
        await pilot.click(line)
        await until(pilot, lambda: isinstance(app.screen, SamplingDialog))
        await pilot.press("escape")
        await pilot.resize_terminal(80, 24)
        await until(pilot, lambda: not line.display)


async def test_the_words_below_the_curve_change_its_scale(app: StudioApp, engine: FakeEngine) -> None:
    async with app.run_test(size=(120, 40)) as pilot:
        await ready(app, pilot)
        assert not app.main.training.legend.visible, "nothing to click before there is a curve"
        await training(app, pilot, engine)
        await pilot.click(app.main.training.legend)
        await until(pilot, lambda: app.has_class(LOG_SCALE))
