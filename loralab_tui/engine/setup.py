"""What is chosen before a run: model, corpus, settings, and the engine that goes with them.

Knows no widget. Everything that can fail raises LoraLabError with a sentence; the screen shows it.
"""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from loralab_core.errors import BadInput, LoraLabError, explain_os_error
from loralab_core.text.tokenizer_files import read_tokenizer_files
from loralab_core.wire.messages import EngineStatus
from loralab_tui.chat.history import Exchange
from loralab_tui.config import keymap
from loralab_tui.data.discover import check_model, look_at
from loralab_tui.data.model_names import model_name, same_model
from loralab_tui.engine.link import EngineLink
from loralab_tui.plan import DEFAULTS, Plan, label
from loralab_tui.runs.view import Phase
from loralab_tui.studio import Corpus, Studio


class Setup:
    """`changed` is called after anything the screen shows has changed, `show_chat` with a conversation to show."""

    def __init__(
        self,
        studio: Studio,
        link: EngineLink,
        changed: Callable[[], None],
        show_chat: Callable[[list[Exchange]], None],
    ) -> None:
        self.studio = studio
        self.link = link
        self._changed = changed
        self._show_chat = show_chat

    async def choose_model(self, text: str) -> None:
        """What someone typed as a model. BadInput for what can be none."""
        await self.use_model(await asyncio.to_thread(check_model, text))

    def left_behind(self, reference: str) -> list[str]:
        """What choosing this model leaves behind, in sentences for before it is chosen."""
        studio, run, said = self.studio, self.studio.run, []
        watched_again = studio.model is not None and same_model(studio.model, reference)
        if run is not None and run.phase.live and (run.full or not watched_again):
            said.append(f"The run goes on without being watched; {keymap.name('runs')} shows it again.")
        if names := [label(name) for name in self._unfit(reference) if studio.plan[name] != DEFAULTS[name]]:
            made, changes = f"made for {model_name(studio.plan_suits)}", f"{keymap.name('settings')} changes them"
            said.append(f"The settings that were {made} are the defaults again ({', '.join(names)}); {changes}.")
        return said

    def _unfit(self, reference: str) -> tuple[str, ...]:
        """What was made for another model and not chosen since: the demo's learning rate would ruin a larger one."""
        studio = self.studio
        fits = not studio.plan_suits or same_model(studio.plan_suits, reference)
        return () if fits else studio.plan.shared(studio.made_plan)

    def _fit_plan(self, reference: str) -> None:
        studio = self.studio
        if studio.plan_suits and not same_model(studio.plan_suits, reference):
            studio.plan = studio.plan.without(self._unfit(reference))
            studio.plan_suits, studio.made_plan, studio.steps_suit = "", Plan(), ()

    async def use_model(self, reference: str) -> None:
        """Take this model and open its engine, so that one can talk to it at once."""
        self._fit_plan(reference)
        self.studio.model = reference
        self.studio.adapter = None
        self.studio.run = None
        self.studio.status = None
        self.studio.trouble = ""
        self._show_chat([])
        self._changed()
        await self.open_engine()

    async def open_engine(self) -> None:
        if self.studio.model is None:
            raise LoraLabError(f"choose a model first: {keymap.name('model')}")
        if self.studio.install is not None:
            return  # it opens when the installation is complete
        base, device, run = self.studio.plan["base"], self.studio.plan["device"], ""
        if self.studio.run is not None:
            run = self.studio.run.directory
            base, device = self.studio.run.config.get("base", base), self.studio.run.config.get("device", device)
        self.studio.own_weights = self.studio.run is not None and self.studio.run.full
        try:
            self.studio.status = await self.link.open(self.studio.model, base, device, run)
        except (LoraLabError, OSError) as error:
            why = explain_os_error(error, "start the engine") if isinstance(error, OSError) else error
            self.studio.opening = ""
            self.studio.trouble = str(why)
            self._changed()
            raise

    def use_corpus(self, corpus: Corpus) -> None:
        """Steps that suit another corpus would read this one far too often, or only its beginning."""
        if self.studio.steps_suit not in ((), corpus.places):
            self.studio.plan, self.studio.steps_suit = self.studio.plan.changed(steps=None), ()
        self.studio.corpus = corpus
        if self.studio.run is not None and not self.studio.live:
            self.studio.run = None
        self._changed()

    async def use_plan(self, plan: Plan) -> None:
        """Another precision of the base is another engine; a run on the screen keeps its own to be talked to."""
        if plan["steps"] != self.studio.plan["steps"]:
            self.studio.steps_suit = ()
        rebase = plan["base"] != self.studio.plan["base"] and self.studio.run is None
        self.studio.plan = plan
        if self.studio.run is not None and self.studio.run.phase is Phase.FAILED:
            self.studio.run = None
        self._changed()
        if rebase and self.studio.model is not None:
            await self.open_engine()

    async def fitting_mode(self, status: EngineStatus) -> str:
        """ "chat" for a model with a chat template of its own, "continue" for one that only goes on writing.

        Before the engine has read the model its files are asked.
        """
        if status.loaded:
            return "chat" if status.chat_template == "own" else "continue"
        try:
            files = await asyncio.to_thread(read_tokenizer_files, Path(status.model))
        except BadInput:
            return "continue"
        return "chat" if files.templates else "continue"

    async def look_at_corpus(self, *places: str) -> None:
        self.use_corpus(await asyncio.to_thread(look_at, *places))

    async def look_again(self, corpus: Corpus) -> None:
        """What the corpus is that came with a run. That one has gone matters only where it is to be trained on."""
        with suppress(BadInput):
            found = await asyncio.to_thread(look_at, *corpus.places)
            if self.studio.corpus is corpus:
                self.studio.corpus = replace(corpus, note=found.note, is_chat=found.is_chat)
                self._changed()
