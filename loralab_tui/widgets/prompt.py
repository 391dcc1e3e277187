"""Where one types. Enter sends, every printable key types, `/word` is a command."""

from dataclasses import dataclass

from textual.events import Key
from textual.message import Message
from textual.widgets import TextArea

from loralab_tui.config import keymap
from loralab_tui.widgets.completions import Completions

REMEMBERED = 200


class Prompt(TextArea):
    """Grows to six lines; up and down at its edges walk through what was sent before, or through the commands.

    `commands` is the list shown while a `/` word is typed; Tab takes the chosen one.
    """

    DEFAULT_CSS = """
    Prompt {
        height: auto; max-height: 8; min-height: 3; padding: 0 1;
        background: $background; border: round $faint; scrollbar-size-vertical: 1;
    }
    Prompt:focus { border: round $primary; }
    Prompt.-editing { border: round $warning; border-title-color: $warning; }
    Prompt .text-area--cursor-line { background: $background; }
    Prompt .text-area--placeholder { color: $quiet; }
    """

    @dataclass
    class Submitted(Message):
        text: str

    @dataclass
    class Command(Message):
        """`/word argument` was typed, and there is such a command."""

        word: str
        argument: str

    @dataclass
    class Refused(Message):
        """`/word` was typed, and there is no such command. The text is still there."""

        word: str

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id, show_line_numbers=False, soft_wrap=True, tab_behavior="focus", compact=False)
        self.cursor_blink = False  # a blink is two frames a second on an idle line
        self.commands = Completions(id="commands")
        self._sent: list[str] = []
        self._at = 0
        self._draft = ""
        self.put_off = ""  # what was being typed when a question was taken back

    async def _on_key(self, event: Key) -> None:
        if self._acts(event.key):
            event.stop()
            event.prevent_default()

    def _acts(self, key: str) -> bool:
        """Do what the key does here besides typing; False leaves it to the text field."""
        choosing = bool(self.commands.found)
        if key == "enter":
            self._send()
        elif key in ("alt+enter", "shift+enter"):
            self.insert("\n")
        elif key == "tab" and self.commands.chosen:
            self.take(self.commands.chosen)
        elif key in ("up", "down"):
            by = -1 if key == "up" else 1
            if choosing:
                self.commands.move(by)
                return True
            return self._at_edge(key) and self._recall(by)
        else:
            return False
        return True

    def _at_edge(self, key: str) -> bool:
        """Whether the cursor cannot go further that way within the text as it is wrapped."""
        row = self.wrapped_document.location_to_offset(self.cursor_location).y
        return row == 0 if key == "up" else row == self.wrapped_document.height - 1

    def on_text_area_changed(self) -> None:
        self.commands.typed(self.text)

    def take(self, command: keymap.Command) -> None:
        """Write the command out; one that takes something waits for it behind a space."""
        self.put(f"/{command.word}{' ' if command.argument else ''}")
        self.focus()

    def put(self, text: str) -> None:
        """Replace what is typed, with the cursor at the end."""
        self.text = text
        self.move_cursor(self.document.end)

    def begin_editing(self, question: str) -> None:
        """Take a question back to change it."""
        if not self.has_class("-editing"):
            self.put_off = self.text
        self.put(question)
        self.add_class("-editing")
        self.border_title = "editing: Enter asks it anew, Esc gives it up"

    def end_editing(self) -> None:
        self.remove_class("-editing")
        self.border_title = ""

    def _send(self) -> None:
        text = self.text.strip()
        if not text:
            return
        typed = keymap.command(self.text)  # with a space before it, it is a text
        if typed is not None and not keymap.known(typed[0]):
            self.post_message(self.Refused(typed[0]))
            return
        self.remember(text)
        self.clear()
        self.post_message(self.Submitted(text) if typed is None else self.Command(*typed))

    def remember(self, text: str) -> None:
        if not self._sent or self._sent[-1] != text:
            self._sent = [*self._sent[1 - REMEMBERED :], text]
        self._at = len(self._sent)

    def _recall(self, by: int) -> bool:
        """Put an earlier (or later) text in place, behind the last what was being typed; False where there is none."""
        wanted = self._at + by
        if not self._sent or not 0 <= wanted <= len(self._sent):
            return False
        if self._at == len(self._sent):
            self._draft = self.text
        self._at = wanted
        self.put(self._sent[wanted] if wanted < len(self._sent) else self._draft)
        return True
