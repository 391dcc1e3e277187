"""What was said, newest at the bottom; those too old to be shown are counted in a line above them."""

from textual.binding import Binding
from textual.containers import HorizontalGroup, VerticalScroll
from textual.widgets import Static

from loralab_tui.chat.conversation import Round
from loralab_tui.widgets.message import ChatMessage

MOUNTED = 60  # messages; each costs every reflow a little: with 100 and more an answer stutters as it comes
BESIDE = 76  # cells from which two answers stand beside each other


class Answers(HorizontalGroup):
    """The answers to one question: one under the other, or side by side where there is room to compare them."""

    DEFAULT_CSS = """
    Answers { layout: vertical; height: auto; }
    Answers.-beside { layout: horizontal; margin-bottom: 1; }
    Answers.-beside ChatMessage { margin-bottom: 0; }
    Answers.-beside ChatMessage.lora { margin-left: 1; }
    """

    def __init__(self, said: Round, beside: bool) -> None:
        self.messages = [ChatMessage(said, reply) for reply in said.replies]
        super().__init__(*self.messages)
        self.lay(beside)

    def lay(self, beside: bool) -> None:
        self.set_class(beside and len(self.messages) > 1, "-beside")


class Transcript(VerticalScroll):
    """↑ and ↓ walk from message to message; within a long one they scroll."""

    DEFAULT_CSS = """
    Transcript { scrollbar-size-vertical: 1; }
    Transcript > #earlier { height: auto; color: $quiet; padding: 0 2; margin-bottom: 1; display: none; }
    """
    BINDINGS = [
        Binding("up", "walk(-1)", "Earlier", show=False),
        Binding("down", "walk(1)", "Later", show=False),
        Binding("home", "far(-1)", "First", show=False),
        Binding("end", "far(1)", "Last", show=False),
    ]

    def __init__(self, *, id: str | None = None) -> None:
        self.earlier = Static("", id="earlier", markup=False)
        super().__init__(self.earlier, id=id)
        self.kept_in = ""  # the file older messages can be read in
        self._dropped = 0
        self._rows: list[tuple[ChatMessage, Answers]] = []

    @property
    def messages(self) -> list[ChatMessage]:
        """In the order they are read."""
        return [message for question, answers in self._rows for message in (question, *answers.messages)]

    @property
    def chosen(self) -> ChatMessage | None:
        """The one that has the focus."""
        focused = self.screen.focused
        return focused if isinstance(focused, ChatMessage) else None

    def put(self, *rounds: Round) -> list[ChatMessage]:
        """Add these below; what is too much above goes. Returns the answers' widgets, in order."""
        rows = [self._row(said) for said in rounds]
        self._rows += rows
        self.mount(*(widget for row in rows for widget in row))
        self._prune()
        self.anchor()
        return [message for _, answers in rows for message in answers.messages]

    def show(self, rounds: list[Round], *, more: bool = False) -> None:
        """These rounds and no others; `more`: there was more before them than was brought back.

        Those that are here already keep their widgets: an answer may be on its way to one.
        """
        older = len(rounds) - self._fitting(rounds)
        here = {row[0].about: row for row in self._rows}
        for said in here.keys() - rounds[older:]:
            for widget in here[said]:
                widget.remove()
        self._rows = []
        for said in rounds[older:]:
            self._rows.append(here.get(said) or self._mounted(said))
        self._dropped = 0
        self._drop(sum(1 + len(said.replies) for said in rounds[:older]), more=more)
        self.anchor()

    def _row(self, said: Round) -> tuple[ChatMessage, Answers]:
        return ChatMessage(said), Answers(said, self._beside)

    def _mounted(self, said: Round) -> tuple[ChatMessage, Answers]:
        """Below the row that is the last by now."""
        row = self._row(said)
        self.mount(*row, after=self._rows[-1][1] if self._rows else self.earlier)
        return row

    def cut(self, said: Round) -> None:
        """Take this round and all below it off."""
        at = next((n for n, (question, _) in enumerate(self._rows) if question.about is said), 0)
        for row in self._rows[at:]:
            for widget in row:
                widget.remove()
        del self._rows[at:]

    @staticmethod
    def _fitting(rounds: list[Round]) -> int:
        """How many of the newest rounds may be mounted."""
        room = MOUNTED
        for count, said in enumerate(reversed(rounds)):
            room -= 1 + len(said.replies)
            if room < 0:
                return count
        return len(rounds)

    def _prune(self) -> None:
        gone = 0
        while len(self._rows) > 1 and len(self.messages) > MOUNTED:
            question, answers = self._rows.pop(0)
            gone += 1 + len(answers.messages)
            question.remove()
            answers.remove()
        self._drop(gone)

    def _drop(self, count: int, *, more: bool = False) -> None:
        self._dropped += count
        where = f"are in {self.kept_in}" if self.kept_in else "are no longer shown"
        number = f"{self._dropped} earlier" if self._dropped and not more else "Earlier"
        self.earlier.display = bool(self._dropped) or more
        self.earlier.update(f"… {number} messages {where}")

    # ---- looking and walking

    @property
    def _beside(self) -> bool:
        return self.content_size.width >= BESIDE

    def on_resize(self) -> None:
        for _, answers in self._rows:
            answers.lay(self._beside)

    def action_walk(self, by: int) -> None:
        messages, at = self.messages, self.chosen
        if not messages:
            return
        if at is None:
            self._go(messages[-1] if by < 0 else messages[0])
        elif self._hidden(at, by):
            self.scroll_relative(y=3 * by, animate=False)
        else:
            index = messages.index(at) + by
            if index < len(messages):
                self._go(messages[max(0, index)])

    def action_far(self, by: int) -> None:
        if messages := self.messages:
            self._go(messages[0 if by < 0 else -1])

    def _go(self, message: ChatMessage) -> None:
        self.screen.set_focus(message, scroll_visible=False)
        self.scroll_to_widget(message, animate=False, top=False)

    def _hidden(self, message: ChatMessage, by: int) -> bool:
        """Whether a message goes on above (below) what can be seen."""
        seen, whole = self.region, message.region
        return whole.y < seen.y if by < 0 else whole.bottom > seen.bottom
