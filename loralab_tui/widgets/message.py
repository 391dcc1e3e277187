"""One thing said, as one widget: a coloured edge, the speaker's name in words, the text.

Nothing inside is a widget of its own, so a transcript of hundreds stays quick to lay out.
"""

import re

from textual.content import Content
from textual.widgets import Static

NAMES = {"you": "you", "base": "base", "lora": "LoRA"}


class ChatMessage(Static):
    """`speaker` is "you", "base" or "lora". Grows by `add` and `flush`; ends with `finish`."""

    DEFAULT_CSS = """
    ChatMessage { height: auto; padding: 0 1; margin: 0 0 1 0; border-left: outer $faint; }
    ChatMessage.base { border-left: outer $base-voice; }
    ChatMessage.lora { border-left: outer $lora-voice; }
    ChatMessage.-failed { border-left: outer $error; }
    """

    def __init__(self, speaker: str, text: str = "", *, note: str = "") -> None:
        super().__init__(classes=speaker, markup=False)
        self.speaker = speaker
        self.text = text
        self.note = note
        self.step: int | None = None
        self.streaming = False
        self._pending: list[str] = []

    def on_mount(self) -> None:
        self.paint()

    @property
    def title(self) -> str:
        name = NAMES.get(self.speaker, self.speaker)
        return f"{name} @{self.step}" if self.step is not None else name

    def add(self, piece: str) -> None:
        """Keep a piece for the next flush."""
        self._pending.append(piece)

    def flush(self) -> bool:
        """Show what came since the last flush; True if anything did."""
        if not self._pending:
            return False
        self.text += "".join(self._pending)
        self._pending.clear()
        self.paint()
        return True

    def finish(self, text: str, note: str) -> None:
        """The whole answer as the engine gave it, which also mends pieces lost on the way."""
        self._pending.clear()
        self.text, self.note, self.streaming = text, note, False
        self.paint()

    def fail(self, sentence: str) -> None:
        self.flush()
        self.add_class("-failed")
        self.streaming = False
        self.note = f"✕ {sentence}"
        self.paint()

    def paint(self) -> None:
        """Title and note quiet, the text in full strength; a block stands where the next word will come."""
        colour = {"base": "$base-voice", "lora": "$lora-voice"}.get(self.speaker, "$quiet")
        title = Content.styled(self.title, f"bold {colour}")
        note = Content.styled(
            f"  {self.note}" if self.note else "", "$error" if self.has_class("-failed") else "$quiet"
        )
        body = Content(without_empty_stretches(self.text) + (" ▌" if self.streaming else ""))
        self.update(Content.assemble(title, note, "\n", body) if body.plain else Content.assemble(title, note))


def without_empty_stretches(text: str) -> str:
    """A young adapter may say nothing but line breaks: counted in a word instead of filling the screen."""

    def counted(match: re.Match[str]) -> str:
        return f"\n… {match[0].count(chr(10)) - 1} empty lines\n"

    return re.sub(r"\n(?:[ \t]*\n){3,}", counted, text).rstrip("\n")
