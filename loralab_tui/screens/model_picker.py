"""F6: which model. Type or paste a directory or an id, or pick one of those that lie around."""

import os
from pathlib import Path

from textual import on, work
from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import Vertical
from textual.content import Content
from textual.widgets import Input, OptionList, Static
from textual.widgets.option_list import Option
from textual.worker import get_current_worker

from loralab_core.errors import BadInput
from loralab_tui import words
from loralab_tui.data import discover
from loralab_tui.data.recent import typed_path
from loralab_tui.screens.dialog import Dialog


class ModelPicker(Dialog[str]):
    """Dismissed with a directory or id."""

    CSS_PATH = ["dialog.tcss", "pickers.tcss"]
    BINDINGS = [Binding("down", "to_list", "To the list", show=False)]

    def __init__(self, chosen: str | None) -> None:
        super().__init__()
        self.chosen = chosen
        self.found: list[discover.FoundModel] = []

    def compose(self) -> ComposeResult:
        with Vertical(classes="dialog") as box:
            box.border_title = "Which model?"
            box.border_subtitle = "Enter: choose · ↑↓: list · Esc: back"
            yield Static(
                "A directory with config.json and .safetensors, or an id of the Hugging Face Hub.", classes="lead"
            )
            yield Input(self.chosen or "", placeholder="/path/to/model or owner/name", classes="first")
            yield OptionList(id="found", compact=True)
            yield Static(id="said", markup=False)

    def on_mount(self) -> None:
        self.look(Path(self.chosen).parent if self.chosen and os.path.isdir(self.chosen) else discover.here())

    def action_to_list(self) -> None:
        """From the field, with the first model marked, so that Enter takes it."""
        listed = self.query_one(OptionList)
        listed.focus()
        listed.highlighted = 0 if listed.highlighted is None else listed.highlighted

    @work(thread=True, exclusive=True)
    def look(self, place: Path) -> None:
        found = discover.models(place)
        if not get_current_worker().is_cancelled:
            self.app.call_from_thread(self._show, found)

    def _show(self, found: list[discover.FoundModel]) -> None:
        self.found = found
        listed = self.query_one(OptionList)
        listed.clear_options()
        listed.add_options([Option(_row(model), id=str(number)) for number, model in enumerate(found)])
        if not self.is_wrong:  # what was said of a path that was entered meanwhile is more important
            self.say("" if found else "None was found here; a path can be typed or pasted above.")

    @on(Input.Changed)
    def _place_typed(self, event: Input.Changed) -> None:
        """A directory that holds models instead of being one is looked through."""
        self.say("")
        typed = typed_path(event.value)
        path = os.path.expanduser(typed)
        if typed and os.path.isdir(path) and not discover.is_model_directory(typed):
            self.look(Path(path))

    @on(Input.Submitted)
    def _typed(self, event: Input.Submitted) -> None:
        try:
            self.dismiss(discover.check_model(typed_path(event.value)))
        except BadInput as error:
            self.say(str(error), wrong=True)

    @on(OptionList.OptionSelected)
    def _picked(self, event: OptionList.OptionSelected) -> None:
        self.dismiss(self.found[event.option_index].reference)


def _row(model: discover.FoundModel) -> Content:
    name = words.shorten(model.name, 34)
    return Content.assemble(
        f"{name:<35}", (f"{words.size(model.size):>8}  ", "bold"), (words.shorten(model.where, 24), "$quiet")
    )
