"""All themes; the one under the cursor is worn at once, Esc puts the old one back."""

from textual import on
from textual.app import ComposeResult
from textual.containers import Vertical
from textual.widgets import OptionList, Static
from textual.widgets.option_list import Option

from loralab_tui.config import theme
from loralab_tui.config.themes_file import themes_dir
from loralab_tui.screens.dialog import Dialog
from loralab_tui.widgets.choices import Choices


class ThemePicker(Dialog[str]):
    """Dismissed with a theme's name."""

    CSS_PATH = ["dialog.tcss", "manners.tcss"]

    def __init__(self, names: list[str]) -> None:
        super().__init__()
        self.names = names
        self.before = ""

    def compose(self) -> ComposeResult:
        with Vertical(classes="dialog") as box:
            box.border_title = "Which theme?"
            box.border_subtitle = "↑↓: look · Enter: keep · Esc: back"
            rows = [Option(_title(name), id=name) for name in self.names]
            yield Choices(*rows, classes="first", compact=True, markup=False)
            yield Static(f"Yours: {themes_dir()}/NAME.toml", id="said", markup=False)

    def on_mount(self) -> None:
        self.before = self.app.theme
        listed = self.query_one(OptionList)
        listed.highlighted = self.names.index(self.before) if self.before in self.names else 0

    @on(OptionList.OptionHighlighted)
    def _look(self, event: OptionList.OptionHighlighted) -> None:
        self.app.theme = self.names[event.option_index]

    @on(OptionList.OptionSelected)
    def _keep(self, event: OptionList.OptionSelected) -> None:
        self.dismiss(self.names[event.option_index])

    def action_back(self) -> None:
        self.app.theme = self.before
        self.dismiss(None)


def _title(name: str) -> str:
    return f"{name}  ({theme.WORDS[name]})" if name in theme.WORDS else name
