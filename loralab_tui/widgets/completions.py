"""The commands that match what is typed behind a `/`, just above the prompt."""

from dataclasses import dataclass

from textual.content import Content
from textual.events import Click
from textual.message import Message
from textual.widgets import Static

from loralab_tui.config import keymap

ROWS = 6


class Completions(Static):
    """`typed` shows it, `move` walks through it; `chosen` is the command a Tab would take."""

    ALLOW_SELECT = False
    DEFAULT_CSS = """
    Completions {
        height: auto; display: none; background: $panel; padding: 0 1; text-wrap: nowrap; text-overflow: ellipsis;
    }
    """

    @dataclass
    class Picked(Message):
        command: keymap.Command

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self.found: list[keymap.Command] = []
        self.at = 0

    def typed(self, text: str) -> None:
        """Shown while a word behind a `/` is being typed, and gone when it is complete or something else."""
        found = keymap.matching(text)
        complete = [command.word for command in found] == [text.removeprefix("/").lower()]
        self.found, self.at = ([] if complete and not found[0].argument else found), 0
        self._paint()

    @property
    def chosen(self) -> keymap.Command | None:
        return self.found[self.at] if self.found else None

    def move(self, by: int) -> None:
        self.at = (self.at + by) % len(self.found)
        self._paint()

    def _paint(self) -> None:
        self.display = bool(self.found)
        if self.found:
            first = self._first
            rows = [self._row(command, first + n == self.at) for n, command in enumerate(self.found[first:][:ROWS])]
            more = len(self.found) - len(rows)
            rows += [Content.styled(f"  … {more} more: ↑ ↓ or type on", "$quiet")] if more else []
            self.update(Content("\n").join(rows))

    @property
    def _first(self) -> int:
        return max(0, min(self.at - ROWS // 2, len(self.found) - ROWS))

    def _row(self, command: keymap.Command, is_chosen: bool) -> Content:
        word = f"/{command.word}"
        key = keymap.BY_ID[command.word].key_label if command.word in keymap.BY_ID else ""
        return Content.assemble(
            (f"{'▸' if is_chosen else ' '} {word:<10} ", "bold $primary" if is_chosen else "$primary"),
            (f"{command.argument or key:<6}", "$quiet"),
            f" {command.tooltip}",
        )

    def on_click(self, event: Click) -> None:
        at = self._first + event.y
        if at < min(len(self.found), self._first + ROWS):
            self.post_message(self.Picked(self.found[at]))
