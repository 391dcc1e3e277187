"""What the Pilot tests share: waiting for conditions, and the usual way into a state."""

import asyncio
import time
from collections.abc import Callable

from textual import events
from textual.pilot import Pilot

from loralab_core.wire import messages as wire
from loralab_tui.app import StudioApp
from tests.tui.fake_engine import FakeEngine

PATIENCE_S = 60.0
POLL_S = 0.005


async def until(pilot: Pilot[None], condition: Callable[[], object], what: str = "") -> None:
    """Let the app run until `condition` holds."""
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        if condition():
            await pilot.pause()
            return
        await asyncio.sleep(POLL_S)
    raise AssertionError(f"never happened: {what or condition}")


async def ready(app: StudioApp, pilot: Pilot[None]) -> None:
    await until(pilot, lambda: app.studio.status and app.studio.corpus and not app.studio.opening, "ready")


async def training(app: StudioApp, pilot: Pilot[None], engine: FakeEngine, steps: int = 20) -> None:
    """From the start to a run with `steps` steps on screen."""
    await ready(app, pilot)
    await pilot.press("f2")
    await until(pilot, lambda: engine.run, "the run began")
    engine.steps(1, steps)
    await until(pilot, lambda: app.studio.run and len(app.studio.run.curve) == steps, "the steps arrived")
    app.main.show()
    await pilot.pause()


async def asked(pilot: Pilot[None], engine: FakeEngine, number: int = 1) -> wire.Generate:
    """The `number`-th question that reached the engine."""

    def questions() -> list[wire.Generate]:
        return [request for request in engine.asked if isinstance(request, wire.Generate)]

    await until(pilot, lambda: len(questions()) >= number, f"question {number}")
    return questions()[number - 1]


async def type_line(pilot: Pilot[None], text: str) -> None:
    await pilot.press(*("space" if letter == " " else letter for letter in text))
    await pilot.press("enter")


def strike(app: StudioApp, letter: str) -> None:
    """One printable key as the terminal's driver hands it on; quicker than `press`, which waits after each."""
    app.post_message(events.Key(letter if letter.isalnum() else f"key_{ord(letter)}", letter))


def shown(app: StudioApp, selector: str) -> str:
    """The text of a Static of the main screen."""
    return str(app.main.query_one(selector).render())


def toasts(app: StudioApp) -> list[str]:
    return [note.message for note in app._notifications]


def seen(app: StudioApp) -> str:
    """Every character of the terminal, as it is written there."""
    return "\n".join(strip.text for strip in app.screen._compositor.render_strips())
