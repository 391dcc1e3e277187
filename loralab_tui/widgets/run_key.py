"""A key of a screen and what it does; clicking does the same."""

from collections.abc import Sequence

from textual.app import ComposeResult
from textual.containers import HorizontalGroup
from textual.content import Content
from textual.widgets import Static

from loralab_tui.config import keymap


class RunKey(Static):
    """`action` is one of the screen's own."""

    ALLOW_SELECT = False

    def __init__(self, key: str, label: str, action: str, tooltip: str) -> None:
        super().__init__(Content.assemble((key, "bold $primary"), " ", label), id=f"key-{action}")
        self.action = action
        self.tooltip = tooltip

    async def on_click(self) -> None:
        await self.run_action(f"screen.{self.action}")


class RunKeys(HorizontalGroup):
    """The keys of a screen, in a line."""

    def __init__(self, actions: Sequence[keymap.Action], *, id: str) -> None:
        super().__init__(id=id)
        self.actions = actions

    def compose(self) -> ComposeResult:
        for action in (each for each in self.actions if each.footer):
            yield RunKey(action.key_label, action.label, action.id, action.tooltip)
