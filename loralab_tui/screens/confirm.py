"""A question before something that cannot be taken back; the safe answer has the focus."""

from collections.abc import Sequence

from textual import on
from textual.app import ComposeResult
from textual.containers import HorizontalGroup, Vertical
from textual.widgets import Button, Static

from loralab_tui.screens.dialog import Dialog


class Confirm(Dialog[str]):
    """Dismissed with the id of the answer, or None. `answers`: (id, label), the safe one first."""

    BINDINGS = [("left", "app.focus_previous"), ("right", "app.focus_next")]

    def __init__(self, title: str, text: str, answers: Sequence[tuple[str, str]], *, id: str | None = None) -> None:
        super().__init__(id=id)
        self.heading, self.text, self.answers = title, text, answers

    def compose(self) -> ComposeResult:
        with Vertical(classes="dialog") as box:
            box.border_title = self.heading
            box.border_subtitle = "Esc: back"
            yield Static(self.text, classes="lead", markup=False)
            with HorizontalGroup(classes="buttons"):
                for index, (answer, label) in enumerate(self.answers):
                    kind = "first" if index == 0 else ""
                    yield Button(label, id=answer, classes=kind)

    @on(Button.Pressed)
    def _answer(self, event: Button.Pressed) -> None:
        self.dismiss(event.button.id)
