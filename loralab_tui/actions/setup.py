"""Choosing a model, a corpus, the settings."""

from textual import work

from loralab_core.errors import LoraLabError
from loralab_core.hardware.room import Room
from loralab_tui.actions.base import ActionApp
from loralab_tui.config import keymap
from loralab_tui.studio import Corpus


class SetupActions(ActionApp):
    @work(group="dialog", exclusive=True)
    async def action_model(self) -> None:
        from loralab_tui.screens.model_picker import ModelPicker

        chosen = await self.push_screen_wait(ModelPicker(self.studio.model, self.room))
        if chosen is not None:
            self.change_model(chosen)

    def room(self) -> Room | None:
        """Of the device that F4 asks for; None where it is not here. Not for a thread that paints."""
        try:
            return self.find_room(self.studio.plan["device"])
        except LoraLabError:
            return None

    @work(group="dialog", exclusive=True)
    async def action_corpus(self) -> None:
        from loralab_tui.screens.corpus_picker import CorpusPicker

        if self._fixed("corpus"):
            return
        chosen = await self.push_screen_wait(CorpusPicker(self.studio.corpus.places if self.studio.corpus else ()))
        if chosen is not None:
            self.setup.use_corpus(chosen)

    def look_again(self, corpus: Corpus) -> None:
        self.do("corpus", self.setup.look_again, corpus)

    @work(group="dialog", exclusive=True)
    async def action_settings(self) -> None:
        from loralab_tui.screens.settings import Settings

        if self._fixed("settings"):
            return
        model = self.studio.status.model if self.studio.status else self.studio.model
        dialog = Settings(self.studio.plan, self.studio.corpus, model)
        plan = await self.push_screen_wait(dialog)
        if plan is not None:
            self.do("engine", self.setup.use_plan, plan)

    def action_data(self) -> None:
        from loralab_tui.screens.data_view import DataView

        if self.screen is self.main:
            self.push_screen(DataView(self.studio, self.link.peek))

    def _fixed(self, what: str) -> bool:
        """A run keeps what it began with; said, so that nobody wonders."""
        if self.studio.live:
            stop = keymap.name("stop")
            self.tell(f"The {what} of a run cannot change while it trains; {stop} stops it, then a new run can differ.")
        return self.studio.live
