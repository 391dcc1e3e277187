"""The conversation: who answers, how, what is kept, what is done with what was said."""

import os

from textual import work

from loralab_core.errors import BadInput
from loralab_tui import words
from loralab_tui.actions.answering import Answering
from loralab_tui.config import keymap
from loralab_tui.terminal import clipboard
from loralab_tui.widgets.prompt import Prompt

SETTINGS = {
    "system": "system",
    "temp": "temperature",
    "top-p": "top_p",
    "top-k": "top_k",
    "min-p": "min_p",
    "repetition": "repetition",
    "seed": "seed",
    "length": "length",
    "stop-at": "stop",
}
SPEAKERS = ("base", "lora", "both")


class ChatActions(Answering):
    def action_speaker(self) -> None:
        if self.studio.lora_missing:
            self.tell(f"Only the base model can answer now: {self.studio.lora_missing}.")
        self.main.show()
        self.main.chat.speaker.turn()

    @work(group="dialog", exclusive=True)
    async def action_adapter(self) -> None:
        from loralab_tui.screens.adapter_picker import AdapterPicker

        chosen = await self.push_screen_wait(AdapterPicker(self.studio.adapter))
        if chosen is not None and (chosen or self.studio.adapter):
            self.use_adapter(chosen or None)

    def action_chat_mode(self) -> None:
        self.main.chat.mode.turn()

    # ---- what was said

    def action_again(self) -> None:
        if why := self.main.chat.again():
            self.tell(f"{why[0].upper()}{why[1:]}.")
        elif self.main.chat.sampling.greedy:
            self.tell("Temperature 0 gives the same answer whatever the seed; /temp 0.7 lets it differ.")

    def action_more(self) -> None:
        if why := self.main.chat.more():
            self.tell(f"{why[0].upper()}{why[1:]}.")

    def action_edit(self) -> None:
        if not self.main.chat.edit():
            self.tell("Nothing was asked yet.")

    def action_copy(self) -> None:
        """A selection goes before the last answer: it is what one sees marked."""
        message = self.main.chat.to_copy()
        selected = self.screen.get_selected_text()
        text = selected or (message.text if message else "")
        if not text:
            self.tell("There is no answer to copy yet.")
            return
        self.copy_to_clipboard(text)
        what = "The selection" if selected or message is None else f"What {message.title} said"
        self.tell(f"{what} went {clipboard.where(text)}: {words.shorten(words.one_line(text), 50)}")

    def copy_to_clipboard(self, text: str) -> None:
        """Every way of copying comes through here, Textual's own too."""
        self._clipboard = text
        self.write_to_terminal(clipboard.sequence(text, os.environ))
        self.copy_by_tmux(text)

    def action_clear(self) -> None:
        chat = self.main.chat
        had = len(chat.conversation.rounds)
        if not chat.clear():
            self.tell("There is nothing to clear, and nothing to bring back.")
        elif had:
            clear, undo = keymap.name("clear"), keymap.name("undo")
            self.tell(f"Cleared. {clear} brings it back; {undo} does so also after new questions, above them.")

    def action_undo(self) -> None:
        asked = len(self.main.chat.conversation.rounds)
        back = self.main.chat.undo()
        if not back:
            self.tell("Nothing was cleared or edited away.")
        elif len(self.main.chat.conversation.rounds) == asked:
            self.tell(f"The answer is what it was before it went on. {keymap.name('more')} goes on with it anew.")
        elif back[-1] is not self.main.chat.conversation.rounds[-1]:
            what = "One question is" if len(back) == 1 else f"{len(back)} questions are"
            self.tell(f"{what} back, above what was asked since.")

    # ---- how it is drawn

    @work(group="dialog", exclusive=True)
    async def action_sampling(self) -> None:
        from loralab_tui.screens.sampling import SamplingDialog

        chosen = await self.push_screen_wait(SamplingDialog(self.main.chat.sampling))
        if chosen is not None:
            self.main.chat.use_sampling(chosen)

    @work(group="dialog", exclusive=True)
    async def action_prompts(self) -> None:
        from loralab_tui.screens.samples import Samples

        await self.push_screen_wait(Samples(self.studio))

    # ---- what is typed behind a /

    async def on_prompt_command(self, event: Prompt.Command) -> None:
        if event.word in SPEAKERS:
            self._speak(event.word)
        elif event.word in SETTINGS:
            self._set(event)
        else:
            await self.run_action(event.word)

    def _speak(self, value: str) -> None:
        if value != "base" and self.studio.lora_missing:
            self.tell(f"Only the base model can answer now: {self.studio.lora_missing}.")
        else:
            self.main.show()
            self.main.chat.speaker.choose(value)

    def _set(self, event: Prompt.Command) -> None:
        """One setting of the drawing; what does not fit stays in the prompt."""
        chat = self.main.chat
        try:
            chat.use_sampling(chat.sampling.changed(SETTINGS[event.word], event.argument))
        except BadInput as error:
            self.complain(str(error))
            if not chat.prompt.text:
                chat.prompt.put(f"/{event.word} {event.argument}")
            return
        self.tell(f"From the next answer on: {chat.sampling.told() or 'the usual settings'}.")

    def on_prompt_refused(self, event: Prompt.Refused) -> None:
        self.complain(
            f"there is no command /{event.word}; {keymap.name('help')} lists them. "
            "A space before the / sends it as a text"
        )
