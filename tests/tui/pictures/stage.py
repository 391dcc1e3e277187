"""The app where nothing depends on the day, the machine or the user: for pictures that are the same each time."""

import asyncio
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
from textual.pilot import Pilot
from textual.strip import Strip

from loralab_core.hardware.room import Room
from loralab_core.hardware.use import Use
from loralab_core.runs.directory import RunDirectory
from loralab_core.runs.record import write_record
from loralab_tui.app import StudioApp
from tests.tui.driving import asked, ready, training, until
from tests.tui.fake_engine import FakeEngine, falling
from tests.tui.made_runs import made_run

PLACE = Path("/tmp/loralab-pictures")  # stands on some pictures, so it cannot be a temporary one
STILL_S, STILL_TIMES = 0.05, 4
RUN_AGE_S = 3600 * 3.2


class SteadyMeter:
    """A machine whose use never changes."""

    def read(self) -> Use:
        return Use(cpu_percent=40.0, memory_used=6_200_000_000, memory_total=16_000_000_000, process_memory=0, gpus=())


def steady_room(asked: str) -> Room:
    return Room("cpu", free=9_800_000_000, total=16_000_000_000, half="bf16", quantised=True)


@dataclass
class Stage:
    app: StudioApp
    pilot: Pilot[None]
    engine: FakeEngine

    async def until(self, condition: Any, what: str = "") -> None:
        await until(self.pilot, condition, what)

    async def press(self, *keys: str) -> None:
        await self.pilot.press(*keys)
        await self.pilot.pause()

    async def ready(self) -> None:
        """With the forecast, which is read in a thread."""
        await ready(self.app, self.pilot)
        await self.until(lambda: self.app.studio.forecast, "the forecast")

    async def train(self, steps: int = 60, total: int = 100) -> None:
        """A run called "king", with what a run has by then."""
        await training(self.app, self.pilot, self.engine, 1)
        self.engine.event(event="eval", step=0, loss=5.5, perplexity=244.7)
        self.engine.event(event="sample", step=0, index=0, prompt="Who are you?", text="I am a small model.")
        for begin in range(1, steps, 20):
            last = min(begin + 19, steps)
            self.engine.steps(begin + (begin == 1), last, total, wobbling)
            if last % 20 == 0:
                self.engine.event(event="eval", step=last, loss=falling(last) + 0.1, perplexity=20.0)
                self.engine.event(event="checkpoint", step=last)
                answer = "Arr, I be a *small* model." if last > 20 else "I am a small, small model."
                self.engine.event(event="sample", step=last, index=0, prompt="Who are you?", text=answer)
        await self.until(lambda: self.app.studio.run and self.app.studio.run.step == steps, "the steps")
        self.app.main.show()

    async def end(self, event: str, **facts: Any) -> None:
        engine = self.engine
        engine.event(event=event, run=engine.run, adapter=None, steps=60, tokens=245760, seconds=131.0, **facts)
        engine.run = None
        await self.until(lambda: self.app.studio.run and not self.app.studio.run.phase.live, event)
        self.app.main.show()

    async def ask(self, number: int, question: str, *answers: str) -> None:
        """The question typed, and answered by each speaker in turn. `number`: of the first answer."""
        await self.press("escape") if not self.app.main.chat.prompt.has_focus else None
        self.app.main.chat.prompt.text = question
        await self.press("enter")
        for more, answer in enumerate(answers):
            await answered(self, number + more, answer)

    async def still(self) -> str:
        """The picture, once it no longer changes."""
        before: list[list[Strip]] = []
        times = 0
        await self.pilot.pause()
        while times < STILL_TIMES:
            await asyncio.sleep(STILL_S)
            now = [screen._compositor.render_strips() for screen in (*self.app._background_screens, self.app.screen)]
            before, times = now, times + 1 if now == before else 0
        return self.app.export_screenshot()  # drawing it takes several times as long as comparing its lines


async def answered(stage: Stage, number: int, text: str) -> None:
    from loralab_core.wire import messages as wire

    request = await asked(stage.pilot, stage.engine, number)
    step = stage.app.studio.run.step if request.speaker == "lora" and stage.app.studio.run else None
    stage.engine.send(wire.GenerationStarted(id=request.id, step=step, prompt_tokens=9))
    stage.engine.send(wire.Generated(id=request.id, text=text, step=step, new_tokens=30, tokens_per_s=41.0))
    await stage.until(lambda: text.split()[0] in {word for one in texts(stage) for word in one.split()}, "the answer")


def texts(stage: Stage) -> list[str]:
    from loralab_tui.widgets.message import ChatMessage

    return [message.text for message in stage.app.main.query(ChatMessage)]


def wobbling(step: int) -> float:
    """A loss that falls as real ones do: up and down on its way."""
    return falling(step) + 0.25 * ((step * 7919) % 13 / 13 - 0.5)


def aged_run(name: str, **about: Any) -> RunDirectory:
    """A run made some hours ago."""
    run = made_run(name=name, run_dir=str(PLACE / "runs" / name), **about)
    record = msgspec.structs.replace(run.record(), id=name, created=time.time() - RUN_AGE_S)
    write_record(run.record_path, record)
    return run
