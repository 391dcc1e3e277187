"""What all dialogs share: a box in the middle, Esc goes back, a line for what is wrong."""

from pathlib import PurePath
from typing import ClassVar, Generic, TypeVar

from textual.binding import Binding
from textual.screen import ModalScreen
from textual.widgets import Static

Result = TypeVar("Result")


class Dialog(ModalScreen[Result | None], Generic[Result]):
    """Dismissed with None by Esc. Give the box the class `dialog`, its title `dialog-title`."""

    BINDINGS = [Binding("escape", "back", "Back", show=False)]
    CSS_PATH: ClassVar[list[str | PurePath]] = ["dialog.tcss"]
    AUTO_FOCUS = ".first"

    def action_back(self) -> None:
        self.dismiss(None)

    def say(self, sentence: str, *, wrong: bool = False) -> None:
        """What was found, or what is wrong, in the dialog's own `#said` line."""
        line = self.query_one("#said", Static)
        line.set_class(wrong, "-wrong")
        line.update(f"✕ {sentence}" if wrong else sentence)
