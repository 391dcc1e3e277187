"""Manners towards the terminal: its title, its clipboard, what is dropped on it, what it can show."""

import asyncio
import os
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from textual import events
from textual.filter import LineFilter

from loralab_core.errors import LoraLabError
from loralab_tui import words
from loralab_tui.actions.base import ActionApp
from loralab_tui.config import keymap
from loralab_tui.studio import Studio
from loralab_tui.terminal import dropped, on_done
from loralab_tui.terminal import environment as terminal
from loralab_tui.terminal.signs import AsciiFilter

STYLES = Path(__file__).resolve().parents[1] / "screens"
BREATH_S = 0.02


class Manners(ActionApp):
    on_done_command: str = ""
    ascii_filter: AsciiFilter | None = None
    _title_shown: str = ""

    def get_line_filters(self) -> Sequence[LineFilter]:
        own = [self.ascii_filter] if self.ascii_filter else []
        return [*super().get_line_filters(), *own]

    async def read_styles(self) -> None:
        """Those of all screens, one by one after the first paint.

        Textual would read everything anew as the first dialog opens, and answer no key for a fifth of a second.
        """
        for path in sorted(STYLES.glob("*.tcss")):
            if not self.stylesheet.has_source(str(path), ""):
                self.stylesheet.read(path)
                self.stylesheet.parse()
            await asyncio.sleep(BREATH_S)

    def write_to_terminal(self, sequence: str) -> None:
        """A control sequence that moves nothing on the screen."""
        if sequence and self._driver is not None and not self.is_headless:
            self._driver.write(sequence)
            self._driver.flush()

    def copy_by_tmux(self, text: str) -> None:
        """Into tmux's own buffer, and from there to the terminal: works as tmux comes, unlike sequences in it."""
        if "TMUX" in os.environ:
            self.run_worker(_tell_tmux(text), group="tmux", exclusive=True)

    def show_title(self) -> None:
        """The run in the window's title; written only when it differs."""
        text = title_of(self.studio)
        if text != self._title_shown:
            push = "" if self._title_shown else terminal.PUSH_TITLE
            shown = terminal.title(text, os.environ)
            self.write_to_terminal(push + shown if shown else "")
            self._title_shown = text

    def give_title_back(self) -> None:
        if self._title_shown and terminal.title("", os.environ):
            self.write_to_terminal(terminal.title("", os.environ) + terminal.POP_TITLE)

    def run_ended(self) -> None:
        """The run on the screen is over, well or badly: the bell, a notice, the user's command."""
        run = self.studio.run
        if run is None:
            return
        self.bell()
        self.write_to_terminal(terminal.desktop_notice(f"{run.name}: {run.phase.value}", os.environ))
        if self.on_done_command:
            self.do("on-done", self._carry_out, on_done.environment(run))

    async def _carry_out(self, told: dict[str, str]) -> None:
        if failure := await on_done.carry_out(self.on_done_command, told):
            raise LoraLabError(failure)

    # ---- what is dropped on the window

    async def on_event(self, event: events.Event) -> None:
        """Pasted text that is nothing but paths never reaches the prompt; in a dialog's field it is only text."""
        text = event.text if isinstance(event, events.Paste) and not event.is_forwarded else ""
        if self.screen_stack[-1:] == [self.main] and (paths := dropped.paths_in(text)):
            self.do("drop", self._dropped, text, paths)
        else:
            await super().on_event(event)

    async def _dropped(self, text: str, paths: list[str]) -> None:
        if not await asyncio.to_thread(dropped.exist, paths):
            self._not_here(text, paths[0])
            return
        found = await asyncio.to_thread(dropped.recognise, paths)
        if found is None:
            self.main.type_text(text)
        elif found.kind == "corpus":
            self._drop_corpus(found.path)
        elif found.kind == "model":
            self._drop_model(found.path)
        else:
            self._drop_adapter(found.path)

    def _not_here(self, text: str, path: str) -> None:
        if not terminal.over_ssh(os.environ):
            self.main.type_text(text)
            return
        line = terminal.scp_line(path, os.environ)
        self.copy_to_clipboard(line)
        self.tell(
            f"{path} is on the computer you sit at, not on this one. There, this copies it here (it is in your "
            f"clipboard; put the name you ssh to in place of the address if that differs):\n{line}",
            seconds=60,
        )

    def _drop_corpus(self, path: str) -> None:
        if self.studio.live:
            self.tell(f"The corpus of a run cannot change while it trains; {keymap.name('stop')} stops it first.")
            return
        before = self.studio.corpus.path if self.studio.corpus else ""
        self.do("corpus", self.setup.look_at_corpus, path)
        back = f"; it was {before}" if before and before != path else ""
        self.tell(f"The corpus is {path} now. {keymap.name('corpus')} chooses another{back}.", seconds=15)

    def _drop_model(self, path: str) -> None:
        before = self.studio.model
        back = f"; it was {before}" if before and before != path else ""
        self.tell(f"The model is {path} now. {keymap.name('model')} chooses another{back}.", seconds=15)
        self.change_model(path)

    def _drop_adapter(self, path: str) -> None:
        if self.studio.model is None:
            raise LoraLabError(f"{path} is an adapter; choose the model it belongs to first: {keymap.name('model')}")
        self.use_adapter(path)

    def use_adapter(self, path: str | None) -> None:
        """LoRA answers with this adapter; with none, it is that of the run again."""
        self.studio.adapter = path
        self.main.show()
        if path is None:
            self.tell(f"LoRA is the adapter of the run again{'' if self.studio.run else ', once there is one'}.")
            return
        self.main.chat.speaker.choose("lora")
        self.tell(
            f"LoRA answers with {words.shorten(path, 60)} now. {keymap.name('adapter')} chooses another or none.",
            seconds=15,
        )


async def _tell_tmux(text: str) -> None:
    with suppress(OSError):  # no such program here: the sequences have to do
        tmux = await asyncio.create_subprocess_exec(
            *("tmux", "load-buffer", "-w", "-"),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.DEVNULL,
        )
        await tmux.communicate(text.encode())


def title_of(studio: Studio) -> str:
    """ "55% 2.81 shakespeare - LoRA Lab"."""
    run = studio.run
    if run is None or not len(run.curve):
        return "LoRA Lab" if run is None else f"{run.name} - LoRA Lab"
    share = f"{100 * run.step // run.total_steps}% " if run.total_steps and run.phase.live else ""
    state = "" if run.phase.value == "training" else f"{run.phase.value} "
    return f"{share}{state}{words.real(run.curve.losses[-1])} {run.name} - LoRA Lab"
