"""F8: where to copy what was trained."""

import asyncio
from pathlib import Path

from textual import on, work
from textual.app import ComposeResult
from textual.containers import HorizontalGroup, Vertical
from textual.widgets import Button, Input, Static

from loralab_core.errors import BadInput
from loralab_core.paths import with_tilde
from loralab_tui.runs.exporting import Offer, check_target
from loralab_tui.screens.dialog import Dialog


class Export(Dialog[Path]):
    """Dismissed with the place to copy to; the copying is the caller's."""

    def __init__(self, offer: Offer) -> None:
        super().__init__()
        self.offer = offer

    def compose(self) -> ComposeResult:
        with Vertical(classes="dialog") as box:
            box.border_title = f"Export the {self.offer.kind}"
            box.border_subtitle = "Enter: export · Esc: back"
            yield Static(self.offer.sentence, classes="lead", markup=False)
            yield Input(with_tilde(self.offer.target), classes="first", select_on_focus=False)
            yield Static(id="said", markup=False)
            with HorizontalGroup(classes="buttons"):
                yield Button("Export", id="export")

    @on(Input.Submitted)
    @on(Button.Pressed, "#export")
    def _export(self) -> None:
        self.use(self.query_one(Input).value)

    @work(exclusive=True)
    async def use(self, text: str) -> None:
        try:
            target = await asyncio.to_thread(check_target, text)
        except BadInput as error:
            self.say(str(error), wrong=True)
        else:
            self.finish(target)
