"""The messages between the chat pane and the engine."""

from loralab_core.errors import LoraLabError
from loralab_core.wire import messages as wire
from loralab_tui.actions.manners import Manners
from loralab_tui.config import keymap
from loralab_tui.engine import events as engine
from loralab_tui.widgets.asking import Asking


class Answering(Manners):
    def on_asking_ask(self, event: Asking.Ask) -> None:
        if self.studio.install is not None:
            self.main.chat.failed(self.studio.install.sentence)
            if not event.message.begun:
                self.main.chat.prompt.text = self.main.chat.prompt.text or event.text
            return
        if self.link.connected or self.link.opening or self.studio.opening or self.studio.model is None:
            self._send(event)
        else:
            self.do("ask", self._start_and_send, event)

    async def _start_and_send(self, event: Asking.Ask) -> None:
        """The engine has ended, or was never opened: the question opens it."""
        try:
            await self.setup.open_engine()
        except (LoraLabError, OSError):
            self.main.chat.failed(self.studio.trouble)
            raise
        self._send(event)

    def _send(self, event: Asking.Ask) -> None:
        is_lora = event.message.speaker == "lora"
        run = self.studio.run.directory if self.studio.run else None  # the exchange is kept there
        speaker = self.studio.adapter or "lora" if is_lora else event.message.speaker
        begun = event.message.begun
        messages, prompt = (None, event.text + begun) if event.continues else (event.turns, None)
        goes_on = bool(begun) and not event.continues
        try:
            request = self.link.new_request()
        except LoraLabError as error:
            self.main.chat.failed(self._not_there(str(error)))
            return
        self.main.chat.begun(request, event.message)
        self.do("ask", self._ask, wire.Generate(request, speaker, run, messages, prompt, event.sampling, goes_on))

    async def _ask(self, question: wire.Generate) -> None:
        """A frozen engine may take long to take it: not on the event loop's time."""
        try:
            await self.link.ask(question)
        except LoraLabError as error:
            self.main.chat.failed(str(error), question.id)

    def _not_there(self, sentence: str) -> str:
        return f"not yet: {self.studio.opening}; ask again when it is there" if self.studio.opening else sentence

    def on_asking_cancel(self, event: Asking.Cancel) -> None:
        self.do("cancel", self.link.cancel, event.request)

    def on_answer_begun(self, event: engine.AnswerBegun) -> None:
        self.main.chat.pinned(event.request, event.step, event.prompt_tokens, event.begun)

    def on_answer_piece(self, event: engine.AnswerPiece) -> None:
        self.main.chat.piece(event.request, event.text)

    def on_answer_done(self, event: engine.AnswerDone) -> None:
        answer = event.answer
        speed = f"{answer.tokens_per_s:,.0f} tok/s" if answer.tokens_per_s else ""
        note = " · ".join(part for part in (_ending(answer), speed) if part)
        self.main.chat.done(event.request, answer.text, note, cut=answer.finish in wire.CUT)

    def on_answer_failed(self, event: engine.AnswerFailed) -> None:
        self.main.chat.failed(event.sentence, event.request)


def _ending(answer: wire.Generated) -> str:
    """Why an answer ended where the model would have gone on; first in its line, which may be short."""
    if answer.finish == "length":
        return f"cut at {answer.new_tokens} tokens, {keymap.name('more')} goes on"
    return {"cancelled": "stopped", "context": "the context is full"}.get(answer.finish, "")
