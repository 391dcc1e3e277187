"""Ctrl+P: everything by name."""

from textual.command import CommandPalette
from textual.widgets import Input


class Palette(CommandPalette):
    def on_mount(self) -> None:
        self.query_one(Input).cursor_blink = False  # a blink is two frames a second on an idle line
