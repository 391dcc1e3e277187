"""One line asked for: a new name, a number of steps. What does not fit is said while one types."""

from collections.abc import Callable

from textual import on
from textual.app import ComposeResult
from textual.containers import HorizontalGroup, Vertical
from textual.widgets import Button, Input, Static

from loralab_core.errors import BadInput
from loralab_tui.screens.dialog import Dialog


class AskLine(Dialog[str]):
    """Dismissed with the text, once `check` accepts it: it returns the sentence that says what the text means, or
    raises BadInput."""

    def __init__(self, title: str, lead: str, value: str, check: Callable[[str], str], do_it: str) -> None:
        super().__init__()
        self.heading, self.lead, self.value, self.check, self.do_it = title, lead, value, check, do_it

    def compose(self) -> ComposeResult:
        with Vertical(classes="dialog") as box:
            box.border_title = self.heading
            box.border_subtitle = f"Enter: {self.do_it.lower()} · Esc: back"
            yield Static(self.lead, classes="lead", markup=False)
            yield Input(self.value, classes="first")
            yield Static(id="said", markup=False)
            with HorizontalGroup(classes="buttons"):
                yield Button("Back", id="back")
                yield Button(self.do_it, id="do_it")

    def _fits(self, text: str) -> bool:
        try:
            self.say(self.check(text))
        except BadInput as error:
            self.say(str(error), wrong=True)
            return False
        return True

    @on(Input.Changed)
    def _changed(self, event: Input.Changed) -> None:
        self._fits(event.value)

    @on(Input.Submitted)
    @on(Button.Pressed, "#do_it")
    def _done(self) -> None:
        text = self.query_one(Input).value.strip()
        if self._fits(text):
            self.dismiss(text)

    @on(Button.Pressed, "#back")
    def _back(self) -> None:
        self.dismiss(None)
