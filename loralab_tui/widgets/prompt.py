"""Where one types. Enter sends, every printable key types, `/word` is a command."""

from dataclasses import dataclass

from textual.events import Key
from textual.message import Message
from textual.widgets import TextArea


class Prompt(TextArea):
    """Grows to six lines; up and down at its edges walk through what was sent before."""

    DEFAULT_CSS = """
    Prompt {
        height: auto; max-height: 8; min-height: 3; padding: 0 1;
        background: $background; border: round $faint; scrollbar-size-vertical: 1;
    }
    Prompt:focus { border: round $primary; }
    Prompt .text-area--cursor-line { background: $background; }
    Prompt .text-area--placeholder { color: $quiet; }
    """

    @dataclass
    class Submitted(Message):
        text: str

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id, show_line_numbers=False, soft_wrap=True, tab_behavior="focus", compact=False)
        self._sent: list[str] = []
        self._at = 0

    async def _on_key(self, event: Key) -> None:
        if event.key == "enter":
            event.stop()
            event.prevent_default()
            self._send()
        elif event.key in ("alt+enter", "shift+enter"):
            event.stop()
            event.prevent_default()
            self.insert("\n")
        elif event.key in ("up", "down") and self._at_edge(event.key) and self._recall(-1 if event.key == "up" else 1):
            event.stop()
            event.prevent_default()

    def _at_edge(self, key: str) -> bool:
        """Whether the cursor cannot go further that way within the text."""
        row = self.cursor_location[0]
        return row == 0 if key == "up" else row == self.document.line_count - 1

    def _send(self) -> None:
        text = self.text.strip()
        if not text:
            return
        self.remember(text)
        self.clear()
        self.post_message(self.Submitted(text))

    def remember(self, text: str) -> None:
        if not self._sent or self._sent[-1] != text:
            self._sent.append(text)
        self._at = len(self._sent)

    def _recall(self, by: int) -> bool:
        """Put an earlier (or later) text in place; False where there is none."""
        wanted = self._at + by
        if not self._sent or not 0 <= wanted <= len(self._sent):
            return False
        self._at = wanted
        self.text = self._sent[wanted] if wanted < len(self._sent) else ""
        self.move_cursor(self.document.end)
        return True
