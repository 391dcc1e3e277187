"""The run: train, stop, look for others, export."""

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING

from textual import work

from loralab_core.errors import LoraLabError
from loralab_core.runs.directory import RunDirectory
from loralab_core.runs.result import export_result
from loralab_tui.actions.going_on import GoingOn
from loralab_tui.config import keymap
from loralab_tui.runs import exporting
from loralab_tui.runs.view import Phase
from loralab_tui.screens.confirm import Confirm
from loralab_tui.widgets.plot import LOG_SCALE, Plot

if TYPE_CHECKING:
    from loralab_tui.screens.runs_actions import RunDeleted, RunRenamed


class TrainingActions(GoingOn):
    def action_train(self) -> None:
        if self.studio.offers_live:
            self.do("engine", self.runs.open_run, self.studio.live_directory)
        elif not (self.refused_by_install() or self.refused_by_phase() or self.asks_how()):
            self.do("run", self.runs.train_key)

    @work(group="dialog", exclusive=True)
    async def action_stop(self) -> None:
        run = self.studio.run
        if self.link.opening or (self.studio.opening and not self.studio.live):
            self.do("cancel-load", self.cancel_load)
            return
        if run is None or not run.phase.live:
            self.tell("Nothing is training now.")
            return
        question = Confirm(
            "Stop the training?",
            f"{run.name} is at step {run.step}. A checkpoint is written; {keymap.name('train')} can resume it later.",
            [("go_on", "Stay paused" if run.phase is Phase.PAUSED else "Go on training"), ("stop", "Stop")],
        )
        if await self.push_screen_wait(question) == "stop":
            self.do("run", self.runs.stop)

    @work(group="dialog", exclusive=True)
    async def action_runs(self) -> None:
        from loralab_tui.screens.runs import RunsScreen

        chosen = await self.push_screen_wait(RunsScreen(self.studio.run.directory if self.studio.run else None))
        if chosen is None:
            return
        if chosen.doing == "open":
            self.do("engine", self.runs.open_run, chosen.path)
        else:
            self.do("run", self.runs.go_on, chosen.path, chosen.steps)

    def action_zoom(self) -> None:
        self.main.training.chart.zoom()
        self.main.show()

    def action_log_scale(self) -> None:
        """For every curve of this session."""
        from loralab_tui.screens.compare_runs import CompareRuns

        self.toggle_class(LOG_SCALE)
        self.main.show()
        for plot in self.screen.query(Plot):
            plot.show_changes()
        if isinstance(self.screen, CompareRuns):
            self.screen.show()

    def on_run_deleted(self, event: "RunDeleted") -> None:
        """Also the run on the main screen can be deleted."""
        if self.studio.run is not None and self.studio.run.directory == event.path:
            self.studio.run = None
            self.main.show()

    def on_run_renamed(self, event: "RunRenamed") -> None:
        if self.studio.run is not None and self.studio.run.directory == event.path:
            self.studio.run.config = {**self.studio.run.config, "name": event.name}
            self.main.show()

    @work(group="dialog", exclusive=True)
    async def action_export(self) -> None:
        from loralab_tui.screens.export import Export

        if self.studio.run is None:
            what = "all weights" if self.studio.plan.full else "an adapter"
            self.tell(f"There is nothing to export yet: {keymap.name('train')} trains {what}.")
            return
        run = RunDirectory(Path(self.studio.run.directory))
        try:
            offered = await asyncio.to_thread(exporting.offer, run)
        except LoraLabError as error:
            self.complain(str(error))
            return
        target = await self.push_screen_wait(Export(offered))
        if target is not None:
            self.do("export", self._export, run, target)

    async def _export(self, run: RunDirectory, target: Path) -> None:
        result = await asyncio.to_thread(export_result, run, target)
        if self.studio.run is not None and self.studio.run.directory == str(run.path):
            self.studio.run.say(f"↗ exported to {target}")
        self.main.show()
        self.tell(f"The {result.kind} is in {target}", seconds=15)
