"""`make screenshots`: the pictures of the README, from a real run of the demo on this computer.

Nothing is staged: the studio is driven by its keys, the engine trains, and the pictures are what stood on the screen.
"""

import argparse
import asyncio
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from textual.pilot import Pilot

from loralab_tui.app import Options, StudioApp
from loralab_tui.beginning import pocket
from loralab_tui.runs.view import Phase
from tools.screenshots.picture import small_png, write_film

PLACE = Path(__file__).parents[2] / "docs" / "pictures"
WIDE, NARROW = (120, 36), (80, 24)
PIXELS = 1200
FRAME_S = 0.4
PATIENCE_S = 300.0


class Tour:
    """One app under the camera."""

    def __init__(self, app: StudioApp, pilot: Pilot[None]) -> None:
        self.app, self.pilot = app, pilot
        self.frames: list[tuple[float, str]] = []

    async def film(self) -> None:
        """Until cancelled."""
        began = time.monotonic()
        while True:
            self.frames.append((time.monotonic() - began, self.app.export_screenshot(title="LoRA Lab")))
            await asyncio.sleep(FRAME_S)

    def take(self, name: str) -> None:
        (PLACE / f"{name}.png").write_bytes(small_png(self.app.export_screenshot(title="LoRA Lab"), PIXELS))
        print(f"  {name}", flush=True)

    async def until(self, condition: Callable[[], object], what: str) -> None:
        deadline = time.monotonic() + PATIENCE_S
        while not condition():
            if time.monotonic() > deadline:
                raise SystemExit(f"never happened: {what}")
            await asyncio.sleep(0.05)
        await self.pilot.pause(0.3)

    async def press(self, *keys: str) -> None:
        for key in keys:
            await self.pilot.press(key)
            await self.pilot.pause(0.4)

    async def write(self, text: str) -> None:
        """As a person types, so that it can be followed."""
        for letter in text:
            await self.pilot.press("space" if letter == " " else letter)
            await asyncio.sleep(0.05)
        await self.press("enter")

    def phase(self) -> Phase | None:
        return self.app.studio.run.phase if self.app.studio.run else None

    def step(self) -> int:
        return self.app.studio.run.step if self.app.studio.run else 0

    def silent(self) -> bool:
        return self.app.main.chat.answering is None and not self.app.main.chat.waiting


async def wide() -> None:
    app = StudioApp(Options(demo=True, host="laptop"), demo=pocket)
    async with app.run_test(size=WIDE) as pilot:
        tour = Tour(app, pilot)
        await tour.until(lambda: app.studio.status and app.studio.status.loaded, "the model is read")
        camera = asyncio.create_task(tour.film())
        tour.take("ready")
        await tour.press("enter")
        await tour.until(tour.silent, "the base answered")
        await tour.press("f2")
        await tour.until(lambda: tour.step() >= 40, "a curve")
        await tour.press("f3", "f3")
        await tour.write("What is a fox?")
        await tour.until(tour.silent, "both answered")
        await tour.until(lambda: tour.step() >= 80, "most of it")
        await tour.write("Who are you?")
        await tour.until(tour.silent, "both answered")
        tour.take("training")
        await tour.until(lambda: tour.phase() is Phase.DONE, "done")
        await pilot.pause(1.0)
        tour.take("done")
        await tour.press("ctrl+s")
        await pilot.pause(1.0)
        tour.take("prompts")
        await pilot.pause(2.0)
        camera.cancel()
        write_film(tour.frames, PIXELS * 3 // 4, PLACE / "tour.gif")
        await tour.press("escape", "f10")
        await pilot.pause(2.0)
        tour.take("data")
        await tour.press("escape", "f5")
        await pilot.pause(1.5)
        tour.take("runs")
        await tour.press("escape", "f1")
        tour.take("help")


async def narrow() -> None:
    """The same run again, on 80×24 and in the light theme."""
    app = StudioApp(Options(attach="last", host="laptop"))
    async with app.run_test(size=NARROW) as pilot:
        tour = Tour(app, pilot)
        await tour.until(lambda: tour.phase() is Phase.DONE, "the run is shown")
        app.theme = "lab-light"
        await tour.press("escape", "ctrl+t")
        await pilot.pause(1.0)
        tour.take("narrow")


def main() -> None:
    argparse.ArgumentParser(prog="make screenshots", description=__doc__).parse_args()
    PLACE.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as home:
        for name in ("LORALAB_HOME", "XDG_DATA_HOME", "XDG_CONFIG_HOME"):  # so that paths read as a newcomer's
            os.environ.pop(name, None)
        os.environ |= {"HOME": home, "LORALAB_ENGINE_IDLE_S": "5"}
        asyncio.run(wide())
        asyncio.run(narrow())


if __name__ == "__main__":
    main()
