"""What all dialogs share: a box in the middle, Esc goes back, a line for what is wrong."""

from pathlib import PurePath
from typing import ClassVar, Generic, TypeVar

from textual.binding import Binding
from textual.screen import ModalScreen
from textual.widgets import Input, Static, TextArea

from loralab_tui.config import keymap
from loralab_tui.screens.left_once import LeftOnce

Result = TypeVar("Result")


class Dialog(LeftOnce, ModalScreen[Result | None], Generic[Result]):
    """Dismissed with None by Esc. Give the box the class `dialog` and a `border_title`."""

    BINDINGS = [
        Binding("escape", "back", "Back", show=False),
        *(Binding(keymap.BY_ID[name].key, f"app.{name}", show=False, id=name) for name in ("help", "jump")),
    ]
    CSS_PATH: ClassVar[list[str | PurePath]] = ["dialog.tcss"]
    AUTO_FOCUS = ".first"

    def on_screen_resume(self) -> None:
        """An idle dialog writes nothing either."""
        for field in self.query("Input, TextArea"):
            assert isinstance(field, Input | TextArea)
            field.cursor_blink = False

    def action_back(self) -> None:
        self.dismiss(None)

    def finish(self, result: Result) -> None:
        """Dismissed with what took a moment to find out, unless one has gone elsewhere meanwhile."""
        if self.is_current:
            self.dismiss(result)

    @property
    def is_wrong(self) -> bool:
        """Whether the sentence that stands there says what is wrong."""
        return self.query_one("#said").has_class("-wrong")

    def say(self, sentence: str, *, wrong: bool = False) -> None:
        """What was found, or what is wrong, in the dialog's own `#said` line."""
        line = self.query_one("#said", Static)
        line.set_class(wrong, "-wrong")
        line.update(f"✕ {sentence}" if wrong else sentence)
