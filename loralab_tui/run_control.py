"""A run's life from the keyboard: begin, pause, resume, stop, come back to it, follow what its engine says.

Knows no widget. Everything that can fail raises LoraLabError with a sentence; the screen shows it.
"""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

from loralab_core.errors import LoraLabError
from loralab_core.runs.directory import RunDirectory, find_run
from loralab_core.runs.events import FINAL, read
from loralab_core.runs.record import RunRecord
from loralab_tui.chat_history import Exchange, read_chat
from loralab_tui.engine_setup import Setup
from loralab_tui.opening import engine_of, live_run
from loralab_tui.plan import DEFAULTS, FIELDS, Plan
from loralab_tui.run_view import Phase, RunView
from loralab_tui.studio import Corpus


class RunControl:
    """`changed` and `show_chat` as in Setup."""

    def __init__(self, setup: Setup, changed: Callable[[], None], show_chat: Callable[[list[Exchange]], None]) -> None:
        self.studio = setup.studio
        self.link = setup.link
        self.setup = setup
        self._changed = changed
        self._show_chat = show_chat
        self._config: dict[str, Any] = {}
        self._under_way = False

    async def train_key(self) -> None:
        """F2: start, pause, go on, resume: what the run's state makes of it. Pressed again meanwhile: nothing."""
        if self._under_way:
            return
        self._under_way = True
        try:
            await self._train_key()
        finally:
            self._under_way = False

    async def _train_key(self) -> None:
        run = self.studio.run
        if run is None or run.phase in (Phase.DONE, Phase.FAILED):
            await self._train()
        elif run.phase is Phase.TRAINING:
            await self.link.pause(run.directory, True)
            self._phase(run, Phase.PAUSED)
        elif run.phase is Phase.PAUSED:
            await self.link.pause(run.directory, False)
            self._phase(run, Phase.TRAINING)
        elif run.phase in (Phase.STOPPED, Phase.LOST):
            await self._resume(run)

    async def _train(self) -> None:
        studio = self.studio
        if studio.model is None or studio.corpus is None:
            missing = "a model (F6)" if studio.model is None else "a corpus (F7)"
            raise LoraLabError(f"choose {missing} first, then F2 trains")
        config = studio.plan.config(studio.model, studio.corpus.path)
        if not self.link.connected:
            await self.setup.open_engine()
        if studio.status is not None:  # the engine's word on what "auto" became
            config |= {"model": studio.status.model, "base": studio.status.base, "device": studio.status.device}
        self._config = config
        await self.link.train(config, studio.plan.asked_dict)

    async def _resume(self, run: RunView) -> None:
        if run.config.get("mode") == "full":
            raise LoraLabError(
                f"this run trains all weights, in an engine of its own: `loralab resume {run.directory}`"
            )
        before, why = run.phase, run.why
        self._phase(run, Phase.PREPARING)
        try:
            if not self.link.connected:
                await self.setup.open_engine()
            await self.link.resume(run.directory)
        except LoraLabError:
            run.why = why
            self._phase(run, before)
            raise

    async def stop(self) -> None:
        """Ends the run; its last events say so."""
        run = self.studio.run
        if run is None or not run.phase.live:
            return
        before = run.phase
        self._phase(run, Phase.STOPPING)
        try:
            await self.link.stop(run.directory)
        except LoraLabError:
            if run.phase is Phase.STOPPING:
                self._phase(run, before)
            raise

    def _phase(self, run: RunView, phase: Phase) -> None:
        run.phase = phase
        run.revision += 1
        self._changed()

    async def open_run(self, text: str) -> None:
        """Show a run, whole; follow it if it lives, open its model's engine to talk to it if not."""
        directory = await asyncio.to_thread(find_run, text)
        record = await asyncio.to_thread(directory.record)
        await self._take_over(directory, record)
        socket = await asyncio.to_thread(engine_of, directory)
        if socket is not None:
            await self.link.connect(socket)
            await self.link.attach(str(directory.path))
            self._changed()
            return
        await self.read_rest("")
        if record.config.get("mode") != "full":
            await self.setup.open_engine()

    async def _take_over(self, directory: RunDirectory, record: RunRecord) -> None:
        config = (record.prepared or {}).get("config") or record.config
        self.studio.model = str(config["model"])
        self.studio.corpus = Corpus(str(config["corpus"][0])) if config.get("corpus") else None
        asked = {name: config[name] for name in FIELDS if config.get(name) not in (None, DEFAULTS[name])}
        self.studio.plan = Plan(tuple(asked.items()))
        self.studio.run = RunView(str(directory.path), config)
        self.studio.trouble = ""
        self._show_chat(await asyncio.to_thread(read_chat, directory.path))
        self._changed()

    async def read_rest(self, why: str) -> None:
        """What the file knows beyond what came over the wire; a run without an end was interrupted."""
        run = self.studio.run
        if run is None:
            return
        path = RunDirectory(Path(run.directory)).events_path
        for event in await asyncio.to_thread(read, path, run.seq):
            run.apply(event)
        if run.phase.live:
            run.why = why
            run.phase = Phase.LOST
        run.revision += 1
        self._changed()

    def run_started(self, directory: str) -> None:
        """The engine took on a run: a new one gets a view, one that is resumed keeps its own."""
        if self.studio.run is None or self.studio.run.directory != directory:
            self.studio.run = RunView(directory, self._config)
        self._changed()

    def run_events(self, directory: str, events: list[dict[str, Any]]) -> bool:
        """Apply what belongs to the run on screen; True if the run has just ended."""
        run = self.studio.run
        if run is None or run.directory != directory:
            return False
        for event in events:
            run.apply(event)
        return bool(events) and events[-1].get("event") in FINAL

    async def follow_foreign(self, directory: str) -> None:
        """The engine is at work on a run that is not on screen (started elsewhere, or before one left): show it."""
        run = RunDirectory(Path(directory))
        await self._take_over(run, await asyncio.to_thread(run.record))
        await self.link.attach(directory)
        self._changed()

    async def find_live_run(self) -> None:
        """For someone who comes back without saying to what: is anything training here?"""
        self.studio.live_elsewhere = await asyncio.to_thread(live_run)
        self._changed()
