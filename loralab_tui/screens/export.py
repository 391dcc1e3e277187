"""F8: where to copy the adapter."""

import asyncio
from pathlib import Path

from textual import on, work
from textual.app import ComposeResult
from textual.containers import HorizontalGroup, Vertical
from textual.widgets import Button, Input, Static

from loralab_core.errors import BadInput
from loralab_core.paths import with_tilde
from loralab_tui.runs.exporting import check_target
from loralab_tui.screens.dialog import Dialog


class Export(Dialog[Path]):
    """Dismissed with the place to copy to; the copying is the caller's."""

    def __init__(self, what: str, proposed: Path) -> None:
        super().__init__()
        self.what, self.proposed = what, proposed

    def compose(self) -> ComposeResult:
        with Vertical(classes="dialog") as box:
            box.border_title = "Export the adapter"
            box.border_subtitle = "Enter: export · Esc: back"
            yield Static(
                f"{self.what} is copied to this directory, in the layout that PEFT and other programs load.",
                classes="lead",
                markup=False,
            )
            yield Input(with_tilde(self.proposed), classes="first", select_on_focus=False)
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
