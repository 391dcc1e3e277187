"""The first moments: what the studio opens with, and waiting for an engine that is still being installed."""

import asyncio
from collections.abc import Callable
from pathlib import Path

from textual import work

from loralab_core.runs.directory import RunDirectory
from loralab_tui.actions.base import ActionApp
from loralab_tui.beginning import Demo, beginning, is_trained_here
from loralab_tui.config import keymap
from loralab_tui.engine import installing

LOOK_S = 0.5
LIVE_S = 2.0


class StartActions(ActionApp):
    demo: Callable[[], Demo | None] | None = None

    async def begin_unasked(self, demo_asked: bool) -> None:
        """Nobody named a model or a run: what is there already, or the demo, with its question in the prompt."""
        chosen = await asyncio.to_thread(beginning, self.demo, demo_asked)
        studio, prompt = self.studio, self.main.chat.prompt
        studio.live_elsewhere, studio.live_directory = chosen.live
        studio.plan = studio.made_plan = chosen.plan
        studio.plan_suits = chosen.model if chosen.plan.asked else ""
        studio.steps_suit = (chosen.corpus,) if chosen.plan["steps"] else ()
        if chosen.question and not prompt.text:
            prompt.text = chosen.question
            prompt.move_cursor(prompt.document.end)
        self.main.show()
        if studio.offers_live:
            self._watch_live(RunDirectory(Path(studio.live_directory)))
        if chosen.corpus:
            self.do("corpus", self.setup.look_at_corpus, chosen.corpus, *chosen.more)
        if chosen.model:
            await self.setup.use_model(chosen.model)

    @work(group="live", exclusive=True)
    async def _watch_live(self, run: RunDirectory) -> None:
        """It is offered as long as it trains and nothing else is on the screen."""
        studio = self.studio
        while studio.offers_live and await asyncio.to_thread(is_trained_here, run):
            await asyncio.sleep(LIVE_S)
        if studio.offers_live:
            self.tell(f"{studio.live_elsewhere} has ended; {keymap.name('runs')} shows it.")
        studio.live_elsewhere = studio.live_directory = ""
        self.main.show()

    # ---- the engine's installation

    async def begin_installing(self, environment: Path) -> None:
        """Look whether there is anything to wait for; if so, follow it until the engine is there."""
        self.studio.install = await asyncio.to_thread(installing.look, environment)
        if self.studio.install is not None:
            self._follow_install(environment)

    @work(group="install", exclusive=True)
    async def _follow_install(self, environment: Path) -> None:
        while (install := await asyncio.to_thread(installing.look, environment)) is not None:
            if install != self.studio.install:
                self.studio.install = install
                self.main.show()
            await asyncio.sleep(LOOK_S)
        self.studio.install = None
        self.main.show()
        if self.studio.model is not None:
            self.do("engine", self.setup.open_engine)

    def refused_by_install(self) -> bool:
        """Nothing can be trained yet: said once, without alarm. An installation that failed is begun again."""
        install = self.studio.install
        if install is not None and install.failed:
            self.do("install-again", self._install_again, install)
        elif install is not None:
            self.tell(f"{install.sentence}. The model opens by itself when it is there.")
        return install is not None

    async def _install_again(self, install: installing.Install) -> None:
        await asyncio.to_thread(installing.begin_again, install)
        self.studio.install = installing.Install("starting", log=install.log, again=install.again)
        self.main.show()
