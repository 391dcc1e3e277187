"""Questions and their answers as they come: who is asked next, what arrives, what is stopped or asked again."""

from dataclasses import dataclass

from textual.containers import Vertical
from textual.message import Message

from loralab_core.text.turns import whole_characters
from loralab_core.wire.messages import Sampling
from loralab_tui.chat.conversation import Asked, Conversation, Round
from loralab_tui.chat.harmless import harmless
from loralab_tui.chat.sampling import SamplingChoice
from loralab_tui.widgets.message import WRONG, ChatMessage
from loralab_tui.widgets.transcript import Transcript

WAITING = "waiting…"
THINKING = "thinking…"
NOT_ASKED = "not asked"
NOTHING_NEW = "nothing new came"


class Asking(Vertical):
    """Asks speakers one after another; sending is the application's, by the messages below."""

    @dataclass
    class Ask(Message):
        """Send this to a speaker; `text` is the newest question, `turns` the whole branch."""

        message: ChatMessage
        text: str
        turns: list[dict[str, str]]
        continues: bool
        sampling: Sampling

    @dataclass
    class Cancel(Message):
        request: int

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self.transcript = Transcript(id="transcript")
        self.conversation = Conversation()
        self.sampling = SamplingChoice()
        self.waiting: list[ChatMessage] = []  # answers still to be asked for
        self.answering: ChatMessage | None = None
        self.request: int | None = None
        self._asked = Asked([])
        self._cancelled = False

    def ask(self, text: str, continues: bool, speakers: tuple[str, ...]) -> None:
        """The user's words go on the transcript; then each speaker is asked in turn."""
        messages = self.transcript.put(self.conversation.add(text, continues, speakers))
        self._queue(messages)

    def ask_again(self, messages: list[ChatMessage]) -> None:
        """The same question, with another seed where there was an answer."""
        for message in messages:
            if message.reply is not None and message.reply.text and not message.reply.failed:
                message.reply.attempt += 1
        self._queue(messages)

    def go_on(self, messages: list[ChatMessage]) -> None:
        """These answers go on from where they ended."""
        self._queue(messages, go_on=True)

    def _queue(self, messages: list[ChatMessage], *, go_on: bool = False) -> None:
        for message in messages:
            begun = whole_characters(message.reply.text) if go_on and message.reply else ""
            message.begin(WAITING, asked=False, begun=begun)
        self.waiting += messages
        self._next()

    def busy(self, message: ChatMessage) -> bool:
        return message is self.answering or message in self.waiting

    def _next(self) -> None:
        if self.answering is not None or not self.waiting:
            return
        message = self.waiting.pop(0)
        assert message.reply is not None
        said, choice = message.about, self.sampling
        self._asked = (
            Asked([])
            if said.continues
            else self.conversation.asked(said, message.speaker, choice.system, choice.length, message.begun)
        )
        self.answering, self.request, self._cancelled = message, None, False
        message.begin(THINKING, asked=True, begun=message.begun)
        sampling = choice.drawn(message.reply.attempt)
        self.post_message(self.Ask(message, said.question, self._asked.turns, said.continues, sampling))

    # ---- what comes back

    def begun(self, request: int, message: ChatMessage) -> None:
        """The question is on its way under this number; what was stopped or cleared meanwhile is cancelled now."""
        if message is self.answering:
            self.request = request
        if self._cancelled or message is not self.answering:
            self.post_message(self.Cancel(request))

    def pinned(self, request: int, step: int | None, prompt_tokens: int, begun: str = "") -> None:
        if self.answering is not None and self.answering.reply is not None and request == self.request:
            self.conversation.learn(self._asked, prompt_tokens)
            self.answering.step = step
            self.answering.note = ""
            self.answering.go_on_from(begun or self.answering.begun)

    def piece(self, request: int, text: str) -> None:
        if self.answering is not None and request == self.request:
            self.answering.add(text)

    def done(self, request: int, text: str, note: str, *, cut: bool = False) -> None:
        """`text`: all that is new."""
        if self.answering is None or self.answering.reply is None or request != self.request:
            return
        left_out = self._asked.left_out
        questions = "the oldest question" if left_out == 1 else f"the {left_out} oldest questions"
        room = f"context full, without {questions}" if left_out else ""
        self._settle(self.answering, self.answering.begun + text, _joined(note, room), cut=cut)
        self._end()

    def failed(self, sentence: str, request: int | None = None) -> None:
        """The answer under way (number `request`, if one is given) will not come.

        Without a number the engine is gone: those that wait have nobody to wait for.
        """
        if self.answering is None or request not in (None, self.request):
            return
        self._fail(self.answering, sentence)
        if request is None:
            waiting, self.waiting = self.waiting, []
            for message in waiting:
                self._fail(message, NOT_ASKED)
        self._end()

    def _fail(self, message: ChatMessage, sentence: str) -> None:
        message.flush()
        self._settle(message, message.text, f"{WRONG} {sentence}", failed=True)

    def _settle(self, message: ChatMessage, text: str, note: str, *, failed: bool = False, cut: bool = False) -> None:
        """An answer has ended. Where nothing came of asking again, what was said before stays, with its step.

        One that went on is never a failed one: what it had said is said, and it can go on again.
        """
        reply, came = message.reply, bool(text) and harmless(text) != harmless(message.begun)
        assert reply is not None
        if came and message.begun:
            self.conversation.went_on(message.about, reply, text, message.step, cut=cut or failed)
        elif came or not reply.text:
            reply.text, reply.step, reply.failed = text, message.step, failed
            reply.cut, reply.began = cut and came, None
        elif message.streaming and not failed:
            note = _joined(NOTHING_NEW, note)
            reply.cut = reply.cut and (cut or not message.begun)
        reply.note = _joined(note, reply.beginning)
        message.settle()

    def _end(self) -> None:
        self.answering = None
        self.request = None
        self._next()

    # ---- taking back

    def stop(self) -> bool:
        """Stop the answer under way and those waiting; False when there is none."""
        if self.answering is None:
            return False
        self._pass_over(self.waiting)
        self._cancelled = True
        if self.request is not None:
            self.post_message(self.Cancel(self.request))
        return True

    def _pass_over(self, messages: list[ChatMessage]) -> None:
        """They wait no longer; what they said before stays."""
        for message in messages:
            self._settle(message, "", NOT_ASKED)
        self.waiting = [message for message in self.waiting if message not in messages]

    def abandon(self, rounds: list[Round]) -> None:
        """Nothing that is still to come belongs to these rounds any more."""
        self._pass_over([message for message in self.waiting if message.about in rounds])
        if self.answering is not None and self.answering.about in rounds:
            self._keep_beginning(self.answering)
            if self.request is not None:
                self.post_message(self.Cancel(self.request))
            self._end()

    def _keep_beginning(self, message: ChatMessage) -> None:
        """What came of an answer that is given up; an old answer stays where nothing came."""
        message.flush()
        self._settle(message, message.text, "stopped", cut=True)


def _joined(*parts: str) -> str:
    return " · ".join(part for part in parts if part)
