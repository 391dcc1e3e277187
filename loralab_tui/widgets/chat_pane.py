"""The left half: who speaks, what was said, where one types."""

from dataclasses import dataclass

from textual.app import ComposeResult
from textual.containers import HorizontalGroup, Vertical, VerticalScroll
from textual.message import Message
from textual.widgets import Static

from loralab_tui.chat_history import Exchange
from loralab_tui.conversation import Conversation, speakers_of
from loralab_tui.studio import Studio
from loralab_tui.welcome import placeholder, welcome
from loralab_tui.widgets.choice import Choice
from loralab_tui.widgets.message import ChatMessage
from loralab_tui.widgets.prompt import Prompt
from loralab_tui.words import one_line

FLUSH_S = 0.1


class ChatPane(Vertical):
    """Keeps the conversation and asks speakers one after another; sending is the screen's, by the messages below."""

    DEFAULT_CSS = """
    ChatPane { padding: 0 1; }
    ChatPane #chat-title { height: 1; margin-bottom: 1; }
    ChatPane #chat-name { width: auto; color: $quiet; text-style: bold; margin-right: 2; }
    ChatPane:focus-within #chat-name { color: $primary; }
    ChatPane #gap { width: 1fr; }
    ChatPane #mode > Option { margin-right: 0; margin-left: 1; }
    ChatPane #transcript { height: 1fr; scrollbar-size-vertical: 1; }
    ChatPane #welcome { height: 1fr; padding: 1 2; color: $quiet; }
    ChatPane #training-strip { height: 1; color: $quiet; display: none; padding: 0 1; text-wrap: nowrap; }
    """

    @dataclass
    class Ask(Message):
        """Send this to a speaker; `text` is the newest question, `turns` the whole branch."""

        speaker: str
        text: str
        turns: list[dict[str, str]]
        continues: bool

    @dataclass
    class Cancel(Message):
        request: int

    @dataclass
    class Command(Message):
        """`/word` was typed."""

        word: str

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self.speaker = Choice([("base", "Base"), ("lora", "LoRA"), ("both", "Both")], "base", id="speaker")
        self.mode = Choice([("chat", "Chat"), ("continue", "Continue")], "chat", id="mode")
        self.welcome = Static(id="welcome")
        self.transcript = VerticalScroll(id="transcript")
        self.strip = Static(id="training-strip", markup=False)
        self.prompt = Prompt(id="prompt")
        self.conversation = Conversation()
        self.waiting: list[tuple[str, str]] = []  # (speaker, question) still to be asked
        self.answering: ChatMessage | None = None
        self.request: int | None = None
        self._cancelled = False

    def compose(self) -> ComposeResult:
        with HorizontalGroup(id="chat-title"):
            yield Static("CHAT", id="chat-name")
            yield self.speaker
            yield Static("", id="gap")
            yield self.mode
        yield from (self.welcome, self.transcript, self.strip, self.prompt)

    def on_mount(self) -> None:
        self.transcript.display = False
        self.set_interval(FLUSH_S, self._flush)

    def on_prompt_submitted(self, event: Prompt.Submitted) -> None:
        event.stop()
        if event.text.startswith("/") and " " not in event.text:
            self.post_message(self.Command(event.text[1:].lower()))
        else:
            self.say(event.text)

    def say(self, text: str) -> None:
        """The user's words go on the transcript; then each chosen speaker is asked in turn."""
        self._put(ChatMessage("you", text))
        self.waiting += [(speaker, text) for speaker in speakers_of(self.speaker.value)]
        self._next()

    def _next(self) -> None:
        if self.answering is not None or not self.waiting:
            return
        speaker, text = self.waiting.pop(0)
        continues = self.mode.value == "continue"
        turns = [] if continues else self.conversation.ask(speaker, text)
        self.answering = ChatMessage(speaker, note="thinking…")
        self.answering.streaming = True
        self._cancelled = False
        self._put(self.answering)
        self.post_message(self.Ask(speaker, text, turns, continues))

    def begun(self, request: int) -> None:
        """The question is on its way under this number; an Esc pressed meanwhile is honoured now."""
        self.request = request
        if self._cancelled:
            self.post_message(self.Cancel(request))

    def pinned(self, request: int, step: int | None) -> None:
        if self.answering is not None and request == self.request:
            self.answering.step = step
            self.answering.note = ""
            self.answering.paint()

    def piece(self, request: int, text: str) -> None:
        if self.answering is not None and request == self.request:
            self.answering.add(text)

    def done(self, request: int, text: str, note: str) -> None:
        if self.answering is not None and request == self.request:
            self.conversation.answer(self.answering.speaker, text)
            self.answering.finish(text, note)
            self._end()

    def failed(self, sentence: str, request: int | None = None) -> None:
        """The answer under way (number `request`, if one is given) will not come."""
        if self.answering is not None and request in (None, self.request):
            self.conversation.take_back(self.answering.speaker)
            self.answering.fail(sentence)
            self._end()

    def _end(self) -> None:
        self.answering = None
        self.request = None
        self._next()

    def stop(self) -> bool:
        """Stop the answer under way and those waiting; False when there is none."""
        if self.answering is None:
            return False
        self.waiting.clear()
        self._cancelled = True
        if self.request is not None:
            self.post_message(self.Cancel(self.request))
        return True

    def clear(self) -> None:
        self.stop()
        self.conversation.clear()
        for message in self.query(ChatMessage):
            if message is not self.answering:
                message.remove()
        self.welcome.display = self.answering is None
        self.transcript.display = self.answering is not None

    def restore(self, exchanges: list[Exchange]) -> None:
        """A conversation of the run, brought back: on the transcript and in the speakers' memories."""
        self.clear()
        asked = None
        for exchange in exchanges:
            if exchange.question != asked:
                self._put(ChatMessage("you", exchange.question))
                asked = exchange.question
            message = ChatMessage(exchange.speaker, exchange.text)
            message.step = exchange.step
            self._put(message)
            if exchange.messages:
                self.conversation.ask(exchange.speaker, exchange.question)
                self.conversation.answer(exchange.speaker, exchange.text)

    def _put(self, message: ChatMessage) -> None:
        self.welcome.display = False
        self.transcript.display = True
        self.transcript.mount(message)
        self.transcript.anchor()

    def last_line(self) -> str:
        """The newest words in one line, for the training side when it has the screen to itself."""
        messages = list(self.query(ChatMessage))
        return f"{messages[-1].title}: {one_line(messages[-1].text)}" if messages else "nothing said yet"

    def show(self, studio: Studio) -> None:
        """Who can speak now, and what to do first."""
        run = studio.run
        self.speaker.label("lora", f"LoRA @{run.step}" if run is not None and run.step else "LoRA")
        missing = studio.lora_missing
        for value in ("lora", "both"):
            self.speaker.allow(value, not missing, missing)
        if missing and self.speaker.value != "base":
            self.speaker.value = "base"
        self.welcome.update(welcome(studio))
        self.prompt.placeholder = placeholder(studio, self.mode.value == "continue")

    def _flush(self) -> None:
        if self.answering is not None:
            self.answering.flush()
