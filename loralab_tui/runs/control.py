"""A run's life from the keyboard: begin, pause, resume, stop, come back to it, follow what its engine says.

Knows no widget. Everything that can fail raises LoraLabError with a sentence; the screen shows it.
"""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

from loralab_core.errors import LoraLabError
from loralab_core.runs.config import config_from
from loralab_core.runs.directory import RunDirectory, create_run, find_run
from loralab_core.runs.events import FINAL
from loralab_core.runs.owner import owner
from loralab_tui.chat.history import Exchange
from loralab_tui.chat.prompts import next_prompts
from loralab_tui.config import keymap
from loralab_tui.engine.opening import engine_of
from loralab_tui.engine.setup import Setup
from loralab_tui.runs.showing import RunShowing
from loralab_tui.runs.view import Phase, RunView
from loralab_tui.states.run_cards import resumes
from loralab_tui.studio import Corpus


class RunControl:
    """`changed` and `show_chat` as in Setup; `look` as in RunShowing."""

    def __init__(
        self,
        setup: Setup,
        changed: Callable[[], None],
        show_chat: Callable[[list[Exchange]], None],
        look: Callable[[Corpus], None],
    ) -> None:
        self.studio = setup.studio
        self.link = setup.link
        self.setup = setup
        self.showing = RunShowing(setup.studio, changed, show_chat, look)
        self._changed = changed
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
        if run is not None and resumes(run):
            await self._resume(run)
        elif run is None or run.phase in (Phase.DONE, Phase.FAILED):
            await self._train()
        elif run.phase is Phase.TRAINING:
            await self.link.pause(run.directory, True)
            self._phase(run, Phase.PAUSED)
        elif run.phase is Phase.PAUSED:
            await self.link.pause(run.directory, False)
            self._phase(run, Phase.TRAINING)

    async def _train(self) -> None:
        studio = self.studio
        if studio.model is None or studio.corpus is None:
            what = "model" if studio.model is None else "corpus"
            raise LoraLabError(f"choose a {what} ({keymap.name(what)}) first, then {keymap.name('train')} trains")
        model, config = studio.model, studio.plan.config(studio.model, *studio.corpus.places)
        if not self._engine_fits():
            studio.run = None
            await self.setup.open_engine()
            if studio.model != model:  # another was chosen meanwhile
                return
        if studio.status is not None:  # the engine's word on what "auto" became
            config |= {"model": studio.status.model, "device": studio.status.device}
            if not studio.plan.full:  # all weights are trained in an engine of their own, which may take another one
                config |= {"base": studio.status.base}
        if "prompts" in config and not config["prompts"]:
            config |= {"prompts": list(await next_prompts(studio))}
        self._config = config
        if studio.plan.full:
            await self._train_all_weights(config)
            return
        await self.link.train(config, self._asked())

    def _asked(self) -> dict[str, Any]:
        """What the user asked for; not the steps that were made for this very corpus."""
        asked = self.studio.plan.asked_dict
        if self.studio.prompts is not None:
            asked["prompts"] = list(self.studio.prompts)
        return {name: value for name, value in asked.items() if name != "steps" or not self.studio.steps_suit}

    def _engine_fits(self) -> bool:
        """Whether a new run can begin in the engine there is."""
        status, base = self.studio.status, self.studio.plan["base"]
        return self.link.connected and not self.studio.own_weights and (status is None or base in ("auto", status.base))

    async def _train_all_weights(self, config: dict[str, Any]) -> None:
        """The run comes first, since its engine is called after it; then it goes on from its beginning."""
        made = await asyncio.to_thread(create_run, config_from(config), self._asked())
        self.studio.run = run = RunView(str(made.path), config)
        run.phase = Phase.STOPPED
        await self._resume(run)

    async def _resume(self, run: RunView, steps: int | None = None) -> None:
        before, why = run.phase, run.why
        self._phase(run, Phase.PREPARING)
        try:
            if not self.link.connected or run.full:
                await self.setup.open_engine()
            if self.studio.run is run:  # another model or run may have been chosen meanwhile
                await self.link.resume(run.directory, steps)
        except (LoraLabError, OSError):
            run.why = why
            self._phase(run, before)
            raise

    async def train_on(self, steps: int) -> None:
        """Take the run on screen up again, to `steps` in all."""
        if self.studio.run is not None:
            await self._resume(self.studio.run, steps)

    async def stop(self) -> None:
        """Ends the run; its last events say so."""
        run = self.studio.run
        if run is None or not run.phase.live:
            return
        if self.link.opening:  # nothing trains yet: who waits for the engine puts the run back as it was
            self.link.give_up()
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
        await self.showing.take_over(directory, record)
        socket = await asyncio.to_thread(engine_of, directory)
        if socket is not None:
            self.studio.own_weights = self.studio.run is not None and self.studio.run.full
            try:
                self.studio.status = await self.link.connect(socket)
            except LoraLabError as error:  # an engine of another version, or a frozen one
                await self.showing.read_rest(str(error))
                raise
            await self.link.attach(str(directory.path))
            self._changed()
            return
        await self.showing.read_rest("", await asyncio.to_thread(owner, directory))
        await self.setup.open_engine()

    async def go_on(self, text: str, steps: int | None = None) -> None:
        """Show a run and take it up again, to `steps` in all. One that is being trained gets its new number at once."""
        await self.open_run(text)
        run, self.studio.away = self.studio.run, None
        if run is not None and not run.phase.live:
            await self._resume(run, steps)
        elif run is not None and steps is not None:
            await self.link.change(run.directory, steps)

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
        await self.showing.take_over(run, await asyncio.to_thread(run.record))
        await self.link.attach(directory)
        self._changed()
