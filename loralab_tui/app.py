"""The application: one studio, one engine, one main screen; what the engine says is shown here."""

import asyncio
import signal
import socket
from collections.abc import Iterable
from dataclasses import dataclass

from textual import work
from textual.app import SystemCommand
from textual.screen import Screen

from loralab_core.errors import LoraLabError
from loralab_core.hardware.use import UseMeter
from loralab_core.wire.messages import EngineStatus
from loralab_tui import engine_events as engine
from loralab_tui import keymap, theme
from loralab_tui.actions import ActionApp
from loralab_tui.engine_link import EngineLink, OpenEngine
from loralab_tui.engine_setup import Setup
from loralab_tui.machine import machine_line
from loralab_tui.opening import open_engine
from loralab_tui.run_control import RunControl
from loralab_tui.screens.main import MainScreen
from loralab_tui.studio import Studio
from loralab_tui.widgets.chat_pane import ChatPane

MACHINE_S = 2.0


@dataclass(frozen=True)
class Options:
    """What the command line asked for. `host` stands in the footer."""

    model: str | None = None
    corpus: str | None = None
    attach: str | None = None
    host: str = ""


class StudioApp(ActionApp):
    TITLE = "LoRA Lab"
    CSS = """
    CommandPalette > Vertical { width: 80; max-width: 100%; }
    ToastRack { margin-bottom: 4; }
    Tooltip { background: $panel; color: $foreground; }
    """

    def __init__(self, options: Options | None = None, open_engine: OpenEngine = open_engine) -> None:
        super().__init__()
        for each in theme.THEMES:
            self.register_theme(each)
        self.theme = theme.DARK.name
        self.options = options or Options()
        self.studio = Studio()
        self.link = EngineLink(self.post_message, open_engine)
        self.main = MainScreen(self.studio)
        self.setup = Setup(self.studio, self.link, self.main.show, self.main.chat.restore)
        self.runs = RunControl(self.setup, self.main.show, self.main.chat.restore)

    async def on_mount(self) -> None:
        self._restore_terminal_on_signals()
        await self.push_screen(self.main)
        self.watch_machine()
        self._begin()

    def _restore_terminal_on_signals(self) -> None:
        """Textual installs no handlers: without these a kill leaves the alternate screen and mouse mode behind."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGHUP):
            loop.add_signal_handler(number, self.exit, None, 128 + number)

    def _begin(self) -> None:
        if self.options.attach:
            self.do("engine", self.runs.open_run, self.options.attach)
            return
        if self.options.corpus:
            self.do("corpus", self.setup.look_at_corpus, self.options.corpus)
        if self.options.model:
            self.do("engine", self.setup.choose_model, self.options.model)
        else:
            self.do("live", self.runs.find_live_run)

    def get_theme_variable_defaults(self) -> dict[str, str]:
        """Our own colour names, for themes that do not set them."""
        return theme.DARK.variables

    async def on_unmount(self) -> None:
        await self.link.close()

    def get_system_commands(self, screen: Screen[object]) -> Iterable[SystemCommand]:
        for action in keymap.ACTIONS:
            yield SystemCommand(
                f"{action.label} ({action.key_label})", action.tooltip, lambda id=action.id: self._run(id)
            )

    def _run(self, action: str) -> None:
        self.call_later(self.run_action, action)

    @work(group="machine")
    async def watch_machine(self) -> None:
        """Reading a GPU's driver can take a while: never on the event loop."""
        host = self.options.host or socket.gethostname().split(".")[0]
        meter = await asyncio.to_thread(UseMeter)
        while True:
            use = await asyncio.to_thread(meter.read)
            device = self.studio.status.device if self.studio.status else ""
            footer = self.main.footer
            footer.show(machine_line(host, device, use, footer.room))
            await asyncio.sleep(MACHINE_S)

    # ---- what the engine says

    def on_engine_opening(self, event: engine.EngineOpening) -> None:
        self.studio.opening = event.what
        self.main.show()

    def on_engine_loading(self, event: engine.EngineLoading) -> None:
        self.studio.loading(event.what, event.done, event.total)
        self.main.mark_stale()

    def on_engine_ready(self, event: engine.EngineReady) -> None:
        status = event.status
        self.studio.status = status
        self.studio.opening = ""
        self.studio.trouble = ""
        self.do("mode", self._fit_mode, status)
        if status.run and self.studio.run is None:
            self.do("run", self.runs.follow_foreign, status.run)
        self.main.show()

    async def _fit_mode(self, status: EngineStatus) -> None:
        self.main.chat.mode.value = await self.setup.fitting_mode(status)
        self.main.show()

    def on_engine_report(self, event: engine.EngineReport) -> None:
        self.studio.status = event.status
        self.main.mark_stale()

    def on_engine_silent(self, event: engine.EngineSilent) -> None:
        self.studio.silent_s = event.seconds
        self.main.show()

    def on_engine_lost(self, event: engine.EngineLost) -> None:
        self.studio.status = None
        self.studio.silent_s = 0
        self.studio.opening = ""
        self.main.chat.failed(event.sentence)
        if self.studio.live:
            self.do("run", self.runs.read_rest, event.sentence)
        else:
            self.studio.trouble = f"{event.sentence}. F6 starts the model again."
            self.main.show()

    def on_run_started(self, event: engine.RunStarted) -> None:
        self.runs.run_started(event.run)

    def on_run_events(self, event: engine.RunEvents) -> None:
        if self.runs.run_events(event.run, event.events):
            self.bell()
            self.main.show()
        self.main.mark_stale()

    # ---- chat

    async def on_chat_pane_ask(self, event: ChatPane.Ask) -> None:
        run = self.studio.run.directory if self.studio.run and event.speaker == "lora" else None
        messages, prompt = (None, event.text) if event.continues else (event.turns, None)
        try:
            request = self.link.new_request()
            self.main.chat.begun(request)
            await self.link.ask(request, event.speaker, run, messages, prompt)
        except LoraLabError as error:
            self.main.chat.failed(str(error))

    def on_chat_pane_cancel(self, event: ChatPane.Cancel) -> None:
        self.do("cancel", self.link.cancel, event.request)

    async def on_chat_pane_command(self, event: ChatPane.Command) -> None:
        if event.word in keymap.BY_ID:
            await self.run_action(event.word)
        else:
            self.complain(f"There is no command /{event.word}; F1 lists them.")

    def on_answer_begun(self, event: engine.AnswerBegun) -> None:
        self.main.chat.pinned(event.request, event.step)

    def on_answer_piece(self, event: engine.AnswerPiece) -> None:
        self.main.chat.piece(event.request, event.text)

    def on_answer_done(self, event: engine.AnswerDone) -> None:
        answer = event.answer
        endings = {"cancelled": "stopped", "length": "cut at the length limit", "context": "the context is full"}
        speed = f"{answer.tokens_per_s:,.0f} tok/s" if answer.tokens_per_s else ""
        note = " · ".join(part for part in (speed, endings.get(answer.finish, "")) if part)
        self.main.chat.done(event.request, answer.text, note)

    def on_answer_failed(self, event: engine.AnswerFailed) -> None:
        self.main.chat.failed(event.sentence, event.request)
