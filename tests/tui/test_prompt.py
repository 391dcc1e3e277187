"""What was sent before, and what was being typed, in the prompt."""

from loralab_tui.app import StudioApp
from tests.tui.driving import ready, type_line


async def test_what_was_being_typed_waits_behind_what_was_sent(app: StudioApp) -> None:
    async with app.run_test(size=(120, 40)) as pilot:
        await ready(app, pilot)
        await type_line(pilot, "hello")
        await pilot.press(*"draft", "up")
        assert app.main.chat.prompt.text == "hello"
        await pilot.press("down")
        assert app.main.chat.prompt.text == "draft"


async def test_up_moves_within_a_long_line_before_it_recalls(app: StudioApp) -> None:
    async with app.run_test(size=(120, 40)) as pilot:
        await ready(app, pilot)
        await type_line(pilot, "hello")
        long = "word " * 40
        app.main.chat.prompt.put(long)
        await pilot.pause()
        await pilot.press("up")
        assert app.main.chat.prompt.text == long
        await pilot.press(*["up"] * 5)
        assert app.main.chat.prompt.text == "hello"
