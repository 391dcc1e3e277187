"""What is chosen before a run: model, corpus, settings, and the engine that goes with them.

Knows no widget. Everything that can fail raises LoraLabError with a sentence; the screen shows it.
"""

import asyncio
from collections.abc import Callable
from pathlib import Path

from loralab_core.errors import BadInput, LoraLabError
from loralab_core.text.tokenizer_files import read_tokenizer_files
from loralab_core.wire.messages import EngineStatus
from loralab_tui.chat_history import Exchange
from loralab_tui.discover import check_model, look_at
from loralab_tui.engine_link import EngineLink
from loralab_tui.plan import Plan
from loralab_tui.run_view import Phase
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

    async def use_model(self, reference: str) -> None:
        """Take this model and open its engine, so that one can talk to it at once."""
        self.studio.model = reference
        self.studio.run = None
        self.studio.status = None
        self.studio.trouble = ""
        self._show_chat([])
        self._changed()
        await self.open_engine()

    async def open_engine(self) -> None:
        if self.studio.model is None:
            raise LoraLabError("choose a model first: F6")
        base, device = self.studio.plan["base"], "auto"
        if self.studio.run is not None:
            base, device = self.studio.run.config.get("base", base), self.studio.run.config.get("device", device)
        try:
            await self.link.open(self.studio.model, base, device)
        except LoraLabError as error:
            self.studio.opening = ""
            self.studio.trouble = str(error)
            self._changed()
            raise

    def use_corpus(self, corpus: Corpus) -> None:
        self.studio.corpus = corpus
        if self.studio.run is not None and not self.studio.live:
            self.studio.run = None
        self._changed()

    async def use_plan(self, plan: Plan) -> None:
        """Another precision of the base is another engine."""
        rebase = plan["base"] != self.studio.plan["base"]
        self.studio.plan = plan
        if self.studio.run is not None and self.studio.run.phase is Phase.FAILED:
            self.studio.run = None
        self._changed()
        if rebase and self.studio.model is not None and not self.studio.live:
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

    async def look_at_corpus(self, text: str) -> None:
        self.use_corpus(await asyncio.to_thread(look_at, text))
