"""Above the conversation: who answers, and whether as in a chat or going on with a text."""

from textual.app import ComposeResult
from textual.containers import HorizontalGroup
from textual.widgets import Static

from loralab_tui.chat.conversation import Round
from loralab_tui.studio import Studio
from loralab_tui.widgets.choice import Choice

PLAIN = "This model has no chat template of its own: a plain one stands in, and it may go on talking for both sides."


class ChatHeading(HorizontalGroup):
    """Two switches. As long as the LoRA of a run cannot answer, the base stands in for it."""

    DEFAULT_CSS = """
    ChatHeading { height: 1; margin-bottom: 1; }
    ChatHeading #chat-name { width: auto; color: $quiet; text-style: bold; margin-right: 2; }
    ChatHeading #chat-name.-focused { color: $primary; }
    ChatHeading #gap { width: 1fr; }
    ChatHeading #mode > Option { margin-right: 0; margin-left: 1; }
    """

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self.title = Static("CHAT", id="chat-name")
        self.speaker = Choice([("base", "Base"), ("lora", "LoRA"), ("both", "Both")], "base", id="speaker")
        self.mode = Choice([("chat", "Chat"), ("continue", "Continue")], "chat", id="mode")
        self._awaited = ""  # whom the base stands in for
        self._mode_is_theirs = False

    def compose(self) -> ComposeResult:
        yield self.title
        yield self.speaker
        yield Static("", id="gap")
        yield self.mode

    def mark_focus(self, focused: bool) -> None:
        """Only the name is marked: a class on the pane would style everything in it anew."""
        self.title.set_class(focused, "-focused")

    def on_choice_picked(self, event: Choice.Picked) -> None:
        if event.choice is self.mode:
            self._mode_is_theirs = True
        else:
            self._awaited = ""

    def begin(self, rounds: list[Round]) -> None:
        """Another conversation: it goes on with whom it was held last, or with LoRA where nobody was asked yet."""
        self._mode_is_theirs = False
        self.speaker.value = "base"
        self._awaited = rounds[-1].choice if rounds else "lora"

    def settle(self) -> None:
        """Something is asked: nobody else steps in between this question and the next."""
        self._awaited = ""

    def fit_mode(self, mode: str) -> None:
        """What suits the model, unless a person chose in this conversation."""
        if not self._mode_is_theirs:
            self.mode.value = mode

    def show(self, studio: Studio) -> None:
        self._show_speaker(studio)
        self._show_mode(studio)

    def _show_speaker(self, studio: Studio) -> None:
        missing = studio.lora_missing
        self.speaker.label("lora", studio.lora_title)
        for value in ("lora", "both"):
            self.speaker.allow(value, not missing, missing)
        if missing and self.speaker.value != "base":
            self._awaited, self.speaker.value = self.speaker.value, "base"
        if studio.run is None:  # its LoRA will not come back
            self._awaited = ""
        elif self._awaited and not missing:
            self.speaker.value, self._awaited = self._awaited, ""

    def _show_mode(self, studio: Studio) -> None:
        """A model without a template goes on writing, unless it is taught conversations."""
        plain = studio.status is not None and studio.status.loaded and studio.status.chat_template == "plain"
        if plain:
            self.fit_mode("chat" if studio.corpus is not None and studio.corpus.is_chat else "continue")
        for option in self.mode.options:
            option.tooltip = PLAIN if plain and option.value == "chat" else None
