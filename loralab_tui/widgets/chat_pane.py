"""The left half: who speaks, what was said, where one types."""

from textual.app import ComposeResult
from textual.widgets import Static

from loralab_tui.chat.conversation import Round, speakers_of
from loralab_tui.chat.history import NEWEST, Exchange, rounds_of
from loralab_tui.chat.sampling import SamplingChoice
from loralab_tui.config import keymap
from loralab_tui.states.welcome import placeholder, welcome
from loralab_tui.studio import Studio
from loralab_tui.terminal.environment import PACE
from loralab_tui.widgets.asking import Asking
from loralab_tui.widgets.chat_heading import ChatHeading
from loralab_tui.widgets.completions import Completions
from loralab_tui.widgets.message import ChatMessage
from loralab_tui.widgets.prompt import Prompt
from loralab_tui.widgets.sampling_line import SamplingLine
from loralab_tui.words import one_line


class ChatPane(Asking):
    """Keeps the conversation on the screen: editing, clearing, bringing back."""

    DEFAULT_CSS = """
    ChatPane { padding: 0 1; }
    ChatPane #transcript { height: 1fr; }
    ChatPane #welcome { height: 1fr; padding: 1 2; color: $quiet; }
    ChatPane #training-strip {
        height: 1; color: $quiet; display: none; padding: 0 1; text-wrap: nowrap; text-overflow: ellipsis;
    }
    """

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self.heading = ChatHeading(id="chat-title")
        self.speaker, self.mode = self.heading.speaker, self.heading.mode
        self.welcome = Static(id="welcome")
        self.strip = Static(id="training-strip", markup=False)
        self.sampling_line = SamplingLine(id="sampling-line")
        self.prompt = Prompt(id="prompt")
        self.editing: Round | None = None

    def compose(self) -> ComposeResult:
        yield from (self.heading, self.welcome, self.transcript, self.strip, self.sampling_line)
        yield from (self.prompt.commands, self.prompt)

    def on_mount(self) -> None:
        self._show_what_there_is()
        self.sampling_line.tell(self.sampling)
        self.set_interval(PACE.flush_s, self._flush)

    def on_descendant_focus(self) -> None:
        self.heading.mark_focus(True)

    def on_descendant_blur(self) -> None:
        """Not `:focus-within`: where only a rule for what is inside asks for it, Textual forgets to take it back."""
        self.heading.mark_focus(self.has_focus_within)

    def _flush(self) -> None:
        if self.answering is not None:
            self.answering.flush()

    def on_completions_picked(self, event: Completions.Picked) -> None:
        event.stop()
        self.prompt.take(event.command)

    def on_prompt_submitted(self, event: Prompt.Submitted) -> None:
        event.stop()
        self.say(event.text)

    def say(self, text: str) -> None:
        """Ask the chosen speakers; an edited question takes its old self and all behind it off first."""
        if self.editing is not None:
            edited = self.editing
            self._stop_editing()
            if edited in self.conversation.rounds:
                rounds = self.conversation.rounds
                self.abandon(rounds[rounds.index(edited) :])
                self.conversation.cut(edited)
                self.transcript.cut(edited)
        self.heading.settle()
        self.ask(text, self.mode.value == "continue", speakers_of(self.speaker.value))
        self._show_what_there_is()

    # ---- what is done with what was said

    def again(self) -> str:
        """Ask again: the message one is on, or the last question of all. Says what is in the way, if something is."""
        messages, why = self._meant()
        if not why:
            self.ask_again(messages)
            self.prompt.focus()
        return why

    def more(self) -> str:
        """The same of going on: with those of these answers that were cut."""
        messages, why = self._meant()
        cut = [message for message in messages if message.reply is not None and message.reply.cut]
        if not why and not cut:
            why = f"no answer was cut here; {keymap.name('again')} asks for another"
        if not why:
            self.go_on(cut)
            self.prompt.focus()
        return why

    def _meant(self) -> tuple[list[ChatMessage], str]:
        """The answer one is on, or all to the question one is on or that was the last; and what is in the way."""
        chosen = self.transcript.chosen or next(reversed(self.transcript.messages), None)
        if chosen is None:
            return [], "nothing was asked yet"
        one = [chosen] if chosen.reply is not None and chosen is self.transcript.chosen else []
        messages = one or [each for each in self.transcript.messages if each.about is chosen.about and each.reply]
        busy = any(self.busy(message) for message in messages)
        return messages, "it is being answered already; Esc stops it" if busy else ""

    def edit(self) -> bool:
        """The question one is on (or the last) goes back into the prompt. False when there is none."""
        chosen = self.transcript.chosen
        rounds = self.conversation.rounds
        if not rounds:
            return False
        self.editing = chosen.about if chosen else rounds[-1]
        self.prompt.begin_editing(self.editing.question)
        self.prompt.focus()
        return True

    def _stop_editing(self) -> None:
        self.editing = None
        self.prompt.end_editing()

    def stop(self) -> bool:
        """Stop the answer under way, or else give up editing; False when there is neither."""
        if super().stop():
            return True
        if self.editing is None:
            return False
        self._stop_editing()
        self.prompt.put(self.prompt.put_off)
        return True

    def to_copy(self) -> ChatMessage | None:
        """The message one is on, or the last answer that says something."""
        answers = [message for message in self.transcript.messages if message.reply and message.text]
        return self.transcript.chosen or (answers[-1] if answers else None)

    def clear(self) -> bool:
        """Begin afresh; an empty conversation brings the cleared one back instead. False when there was nothing."""
        if not self.conversation.rounds:
            return bool(self.undo())
        self.abandon(list(self.conversation.rounds))
        self.conversation.clear()
        self._stop_editing()
        self._show_rounds()
        return True

    def undo(self) -> list[Round]:
        """Bring back what was taken away last; what was asked since stays below it, also an answer under way."""
        back = self.conversation.undo()
        if back:
            self._show_rounds()
        for message in self.transcript.messages:  # an answer that had gone on is shorter again
            if message.about in back and message.reply and not self.busy(message):
                message.settle()
        return back

    def restore(self, exchanges: list[Exchange]) -> None:
        """A conversation of the run, brought back: on the transcript and in the speakers' memories."""
        self.abandon(list(self.conversation.rounds))
        self.conversation.replace(rounds_of(exchanges))
        self.heading.begin(self.conversation.rounds)
        self._stop_editing()
        self._show_rounds(more=len(exchanges) >= NEWEST)

    def _show_rounds(self, *, more: bool = False) -> None:
        self.transcript.show(self.conversation.rounds, more=more)
        self._show_what_there_is()

    def _show_what_there_is(self) -> None:
        said = bool(self.conversation.rounds)
        self.welcome.display, self.transcript.display = not said, said

    # ---- what stands around it

    def use_sampling(self, choice: SamplingChoice) -> None:
        self.sampling = choice
        self.sampling_line.tell(choice)

    def last_line(self) -> str:
        """The newest words in one line, for the training side when it has the screen to itself."""
        messages = self.transcript.messages
        return f"{messages[-1].title}: {one_line(messages[-1].text[:400])}" if messages else "nothing said yet"

    def show(self, studio: Studio) -> None:
        """Who can speak now, and what to do first."""
        self.heading.show(studio)
        self.conversation.context = studio.status.context if studio.status else 0
        self.transcript.kept_in = "chat.jsonl" if studio.run is not None else ""
        self.welcome.update(welcome(studio))
        self.prompt.placeholder = placeholder(studio, self.mode.value == "continue")
