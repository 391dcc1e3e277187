"""Away and back: where one was is written down now and then, and what happened meanwhile is told until one acts."""

import asyncio

from textual import on

from loralab_tui.actions.base import ActionApp
from loralab_tui.config import keymap
from loralab_tui.runs.visits import leave
from loralab_tui.widgets.asking import Asking

VISIT_S = 10.0  # how exact the place is after a kill; whoever quits is written down to the event
ONLY_LOOKING = ("help", "palette", "theme", "themes", "other_pane", "jump", "copy", "zoom", "log_scale")


class Returning(ActionApp):
    _left: tuple[str, int] = ("", 0)

    async def remember_visit(self) -> None:
        """Only what is new is written."""
        run = self.studio.run
        if run is not None and (run.directory, run.seq) != self._left:
            self._left = (run.directory, run.seq)
            await asyncio.to_thread(leave, run)

    async def run_action(self, action: object, *about: object, **more: object) -> bool:
        """The first thing one does closes the card; what only looks does not."""
        name = action.partition("(")[0].rpartition(".")[2] if isinstance(action, str) else ""
        if name in keymap.BY_ID and name not in ONLY_LOOKING:
            self.action_away_seen()
        return await super().run_action(action, *about, **more)  # type: ignore[arg-type]

    def action_away_seen(self) -> None:
        self.main.away_seen()

    @on(Asking.Ask)
    def _asked(self) -> None:
        self.action_away_seen()
