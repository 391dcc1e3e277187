"""The program itself: panes, themes, help, leaving."""

import asyncio
import os
from pathlib import Path

from textual import work

from loralab_core.errors import LoraLabError
from loralab_core.paths import runs_dir
from loralab_tui.actions.base import ActionApp
from loralab_tui.config import keymap, keys_file, theme, themes_file
from loralab_tui.runs.view import RunView
from loralab_tui.screens.confirm import Confirm
from loralab_tui.terminal import environment as terminal


class ProgramActions(ActionApp):
    own_themes: list[str]

    def action_other_pane(self) -> None:
        self.main.other_pane()

    def action_theme(self) -> None:
        self.theme = theme.LIGHT.name if self.current_theme.dark else theme.DARK.name
        self.do("theme", asyncio.to_thread, themes_file.remember_theme, self.theme)

    @work(group="dialog", exclusive=True)
    async def action_themes(self) -> None:
        from loralab_tui.screens.theme_picker import ThemePicker

        chosen = await self.push_screen_wait(ThemePicker(self.own_themes))
        if chosen is not None:
            self.do("theme", asyncio.to_thread, themes_file.remember_theme, chosen)

    def action_palette(self) -> None:
        from loralab_tui.screens.palette import Palette

        if not isinstance(self.screen, Palette):
            self.push_screen(Palette(id="--command-palette"))

    @work(group="jump", exclusive=True)  # not "dialog": a dialog that is open under the labels goes on waiting
    async def action_jump(self) -> None:
        from loralab_tui.screens.jump import Jump, go, places

        if isinstance(self.screen, Jump):
            return
        if (widget := await self.push_screen_wait(Jump(places(self.screen)))) is not None:
            go(widget)

    def action_help_quit(self) -> None:
        """^c with nothing selected: people mean "enough". It ends an answer, never a training."""
        if not self.main.chat.stop():
            going_on = "; training goes on without this window" if self.studio.live else ""
            self.tell(f"{keymap.name('quit')} quits{going_on}.")

    # ---- what the user has set

    def read_config(self) -> list[str]:
        """The user's keys and themes; a sentence for each file that does not fit, whose defaults hold."""
        wrong: list[str] = []
        try:
            keymap.use(keys_file.read_keys(keys_file.path()))
        except LoraLabError as error:
            keymap.use({})
            wrong.append(str(error))
        self.set_keymap(keymap.overlay())
        themes, unfit = themes_file.read_themes()
        for each in (*theme.THEMES, *themes):
            self.register_theme(each)
        self.own_themes = [each.name for each in (*theme.THEMES, *themes)]
        chosen = themes_file.chosen_theme()
        default = theme.ANSI.name if self.no_color else theme.DARK.name
        self.theme = chosen if chosen in self.own_themes and not self.no_color else default
        return wrong + unfit

    def action_help(self) -> None:
        from loralab_tui.screens.help import Help

        if not isinstance(self.screen, Help):
            self.push_screen(Help())

    async def action_quit(self) -> None:
        """With a run under way: ask, and a second ^q takes the safe answer."""
        if isinstance(self.screen, Confirm) and self.screen.id == "leave":
            self.screen.dismiss("leave")
        elif self.studio.live:
            self._ask_to_leave()
        else:
            self.exit()

    @work(group="leave", exclusive=True)
    async def _ask_to_leave(self) -> None:
        run = self.studio.run
        assert run is not None
        question = Confirm(
            "Leave?",
            f"{run.name} is at step {run.step}. Training does not need this window.",
            [("leave", "Leave it running"), ("stop", "Stop it and quit"), ("stay", "Stay")],
            id="leave",
        )
        answer = await self.push_screen_wait(question)
        if answer == "leave":
            self.farewell = f"{run.name} goes on training. To come back:\n  {_way_back(run)}"
            self.exit()
        elif answer == "stop":
            await self._told(self._stop_and_leave, run)

    async def _stop_and_leave(self, run: RunView) -> None:
        """Stays where it could not be stopped: the shell would be told what is not so."""
        await self.runs.stop()
        self.farewell = f"{run.name} is stopped. To go on with it:\n  {_way_back(run)}"
        self.exit()


def _way_back(run: RunView) -> str:
    return f"{terminal.command(os.environ)} --attach {run_word(run.directory)}"


def run_word(directory: str) -> str:
    """What a user types to name this run: its id where it lies with the others, its path otherwise."""
    path = Path(directory)
    return path.name if path.parent == runs_dir().resolve() else directory
