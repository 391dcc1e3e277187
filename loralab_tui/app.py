"""The application: one studio, one engine, one main screen; what the engine says is shown here."""

import asyncio
import os
import socket
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from textual import work
from textual.app import SystemCommand
from textual.binding import Binding
from textual.screen import Screen

from loralab_core.hardware.room import find_room
from loralab_core.hardware.use import UseMeter
from loralab_tui.actions.base import FindRoom
from loralab_tui.actions.chat import ChatActions
from loralab_tui.actions.hearing import Hearing
from loralab_tui.actions.manners import Manners
from loralab_tui.actions.program import ProgramActions
from loralab_tui.actions.returning import VISIT_S, Returning
from loralab_tui.actions.setup import SetupActions
from loralab_tui.actions.training import TrainingActions
from loralab_tui.beginning import Demo
from loralab_tui.config import keymap, theme
from loralab_tui.engine.link import EngineLink, OpenEngine
from loralab_tui.engine.opening import open_engine
from loralab_tui.engine.setup import Setup
from loralab_tui.runs.control import RunControl
from loralab_tui.runs.visits import leave
from loralab_tui.screens.main import MainScreen
from loralab_tui.states.machine import differs, machine_line
from loralab_tui.studio import Studio
from loralab_tui.terminal import environment as terminal
from loralab_tui.terminal import stalls
from loralab_tui.terminal.signals import leave_on_signals
from loralab_tui.terminal.signs import AsciiFilter

MACHINE_S = 2.0
TITLE_S = 1.0


@dataclass(frozen=True)
class Options:
    """What the command line asked for. `host` stands in the footer, `environment` is where the engine is installed."""

    model: str | None = None
    corpus: str | None = None
    attach: str | None = None
    host: str = ""
    on_done: str = ""
    demo: bool = False
    environment: Path = Path(sys.prefix)


class StudioApp(
    SetupActions, TrainingActions, ChatActions, ProgramActions, Hearing, Manners, Returning, inherit_bindings=False
):
    TITLE = "LoRA Lab"
    ENABLE_COMMAND_PALETTE = False  # it is an action of the registry like the others
    BINDINGS = [  # Textual's own ^q has no id: it would go on quitting where the user's key file moved Quit
        *(binding for binding in keymap.bindings() if binding.id == "quit"),
        Binding("ctrl+c", "help_quit", show=False, system=True),
    ]
    # Read with the app's own: when the screen is pushed Textual would parse everything anew.
    CSS_PATH = Path(__file__).with_name("screens") / "main.tcss"
    CSS = """
    CommandPalette > Vertical { width: 80; max-width: 100%; }
    CommandPalette SearchIcon { display: none; }
    ToastRack { margin-bottom: 4; }
    Tooltip { background: $panel; color: $foreground; }
    Button:nocolor:focus, .dialog .buttons Button:nocolor:focus { text-style: bold reverse; }
    OptionList:nocolor > .option-list--option-highlighted { text-style: bold reverse; }
    DataTable:nocolor > .datatable--cursor { text-style: bold reverse; }
    Chip:nocolor#chip-train { text-style: bold reverse; }
    """

    def __init__(
        self,
        options: Options | None = None,
        open_engine: OpenEngine = open_engine,
        meter: Callable[[], UseMeter] = UseMeter,
        demo: Callable[[], Demo | None] | None = None,
        find_room: FindRoom = find_room,
    ) -> None:
        """`open_engine`, `meter` (of the machine's use) and `find_room` (of a device) are replaced where pictures must
        not change; `demo` is what a newcomer is shown."""
        no_color = os.environ.get("NO_COLOR")
        super().__init__(ansi_color=None if no_color is None else True)
        if no_color is not None:
            os.environ["NO_COLOR"] = no_color  # Textual takes it away, but programs started from here want it
        self.ascii_filter = AsciiFilter() if terminal.ascii_only(os.environ) else None
        self.config_troubles = self.read_config()
        self.options = options or Options()
        self.on_done_command = self.options.on_done
        self.meter = meter
        self.demo = demo
        self.find_room = find_room
        self.studio = Studio()
        self.link = EngineLink(self.post_message, open_engine)
        self.main = MainScreen(self.studio)
        self.setup = Setup(self.studio, self.link, self.main.show, self.main.chat.restore)
        self.runs = RunControl(self.setup, self.main.show, self.main.chat.restore, self.look_again)

    async def on_mount(self) -> None:
        leave_on_signals(lambda code: self.exit(None, code))
        await self.push_screen(self.main)
        for sentence in self.config_troubles:
            self.complain(sentence)
        self.set_interval(TITLE_S, self.show_title)
        self.run_worker(self.read_styles(), group="styles")
        self.set_interval(VISIT_S, self.remember_visit)
        if stalls.VARIABLE in os.environ:
            self.run_worker(stalls.measure(), group="stalls")
        self.watch_machine()
        self.run_worker(self._begin(), group="begin")  # keys are answered also where reading its files takes long

    async def _begin(self) -> None:
        asked = self.options
        await self.begin_installing(asked.environment)
        if asked.attach:
            self.do("engine", self.runs.open_run, asked.attach)
            return
        if asked.corpus:
            self.do("corpus", self.setup.look_at_corpus, asked.corpus)
        if asked.model:
            self.do("engine", self.setup.choose_model, asked.model)
        elif (asked.demo or not asked.corpus) and self.studio.model is None:  # nothing was chosen meanwhile
            self.do("engine", self.begin_unasked, asked.demo)

    def get_theme_variable_defaults(self) -> dict[str, str]:
        """Our own colour names, for themes that do not set them."""
        return theme.DARK.variables

    async def on_unmount(self) -> None:
        self.give_title_back()
        await asyncio.to_thread(leave, self.studio.run)
        await self.link.close()

    def get_system_commands(self, screen: Screen[object]) -> Iterable[SystemCommand]:
        """What has a key on that screen: the rest would act on one that is covered."""
        offered = {binding.action for binding in screen.BINDINGS if isinstance(binding, Binding)}
        for own in getattr(screen, "OWN_ACTIONS", ()):
            run = partial(self.call_later, screen.run_action, f"screen.{own.id}")
            yield SystemCommand(f"{own.label} ({own.key_label})", own.tooltip, run)
        for action in (each for each in keymap.ACTIONS if f"app.{each.id}" in offered):
            yield SystemCommand(
                f"{action.label} ({action.key_label})", action.tooltip, lambda id=action.id: self._run(id)
            )

    def _run(self, action: str) -> None:
        self.call_later(self.run_action, action)

    @work(group="machine")
    async def watch_machine(self) -> None:
        """Reading a GPU's driver can take a while: never on the event loop."""
        host = self.options.host or socket.gethostname().split(".")[0]
        meter = await asyncio.to_thread(self.meter)
        shown = await asyncio.to_thread(meter.read)
        while True:
            now = await asyncio.to_thread(meter.read)
            shown = now if differs(shown, now) else shown
            device = self.studio.status.device if self.studio.status else ""
            footer = self.main.footer
            footer.show(machine_line(host, device, shown, footer.room))
            await asyncio.sleep(MACHINE_S)
