"""What each key of the registry does: dialogs first, then setup and runs."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from functools import partial
from pathlib import Path
from typing import Any

from textual import work
from textual.app import App
from textual.worker import Worker

from loralab_core.errors import LoraLabError, explain_os_error
from loralab_core.paths import runs_dir
from loralab_core.runs.directory import RunDirectory
from loralab_core.runs.result import export_result, newest_result
from loralab_tui import exporting, theme
from loralab_tui.engine_setup import Setup
from loralab_tui.run_control import RunControl
from loralab_tui.screens.confirm import Confirm
from loralab_tui.screens.main import MainScreen
from loralab_tui.studio import Studio


class ActionApp(App[None]):
    """One `action_<id>` for each entry of the keymap. Dialogs are imported as they open: the first paint is sooner."""

    studio: Studio
    setup: Setup
    runs: RunControl
    main: MainScreen
    farewell: str = ""

    def do(self, group: str, doing: Callable[..., Awaitable[None]], *about: Any) -> None:
        """Run `doing(*about)` beside the screen; a new request of the same group replaces the one before.

        Only those of "run" do not: a request to the engine cannot be taken back by forgetting it.
        """

        work: Callable[[], Coroutine[None, None, None]] = partial(self._told, doing, *about)
        _: Worker[None] = self.run_worker(work, group=group, exclusive=group != "run")

    async def _told(self, doing: Callable[..., Awaitable[None]], *about: Any) -> None:
        """Await it; what goes wrong is said."""
        try:
            await doing(*about)
        except LoraLabError as error:
            self.complain(str(error))
        except OSError as error:
            self.complain(explain_os_error(error, "do that"))

    def complain(self, sentence: str) -> None:
        """What could not be done, and what to do, where it cannot be overlooked."""
        said = sentence[0].upper() + sentence[1:]
        self.notify(said, title="✕ That did not work", severity="error", timeout=15, markup=False)

    def tell(self, sentence: str, seconds: float = 8) -> None:
        self.notify(sentence, timeout=seconds, markup=False)

    # ---- setting up

    @work(group="dialog", exclusive=True)
    async def action_model(self) -> None:
        from loralab_tui.screens.model_picker import ModelPicker

        chosen = await self.push_screen_wait(ModelPicker(self.studio.model))
        if chosen is None:
            return
        if self.studio.live:
            self.tell("The run goes on without being watched; F5 shows it again.")
        self.do("engine", self.setup.use_model, chosen)

    @work(group="dialog", exclusive=True)
    async def action_corpus(self) -> None:
        from loralab_tui.screens.corpus_picker import CorpusPicker

        if self._fixed("corpus"):
            return
        chosen = await self.push_screen_wait(CorpusPicker(self.studio.corpus.path if self.studio.corpus else None))
        if chosen is not None:
            self.setup.use_corpus(chosen)

    @work(group="dialog", exclusive=True)
    async def action_settings(self) -> None:
        from loralab_tui.screens.settings import Settings

        if self._fixed("settings"):
            return
        corpus = self.studio.corpus
        dialog = Settings(self.studio.plan, corpus.path if corpus else "the corpus", corpus.note if corpus else "")
        plan = await self.push_screen_wait(dialog)
        if plan is not None:
            self.do("engine", self.setup.use_plan, plan)

    def _fixed(self, what: str) -> bool:
        """A run keeps what it began with; said, so that nobody wonders."""
        if self.studio.live:
            self.tell(f"The {what} of a run cannot change while it trains; F9 stops it, then a new run can differ.")
        return self.studio.live

    # ---- training

    def action_train(self) -> None:
        self.do("run", self.runs.train_key)

    @work(group="dialog", exclusive=True)
    async def action_stop(self) -> None:
        run = self.studio.run
        if run is None or not run.phase.live:
            self.tell("Nothing is training now.")
            return
        question = Confirm(
            "Stop the training?",
            f"{run.name} is at step {run.step}. A checkpoint is written; F2 can resume it later.",
            [("go_on", "Go on training"), ("stop", "Stop")],
        )
        if await self.push_screen_wait(question) == "stop":
            self.do("run", self.runs.stop)

    @work(group="dialog", exclusive=True)
    async def action_runs(self) -> None:
        from loralab_tui.screens.run_picker import RunPicker

        chosen = await self.push_screen_wait(RunPicker())
        if chosen is not None:
            self.do("engine", self.runs.open_run, chosen)

    @work(group="dialog", exclusive=True)
    async def action_export(self) -> None:
        from loralab_tui.screens.export import Export

        run = self.studio.run
        if run is None:
            self.tell("There is nothing to export yet: F2 trains an adapter.")
            return
        try:
            what = exporting.describe(newest_result(RunDirectory(Path(run.directory))))
        except LoraLabError as error:
            self.complain(str(error))
            return
        target = await self.push_screen_wait(Export(what, exporting.proposed_target(Path(run.directory))))
        if target is not None:
            self.do("export", self._export, RunDirectory(Path(run.directory)), target)

    async def _export(self, run: RunDirectory, target: Path) -> None:
        result = await asyncio.to_thread(export_result, run, target)
        if self.studio.run is not None:
            self.studio.run.say(f"↗ exported to {target}")
        self.main.show()
        self.tell(f"The {result.kind} is in {target}", seconds=30)

    # ---- chat and program

    def action_speaker(self) -> None:
        if self.studio.lora_missing:
            self.tell(f"Only the base model can answer now: {self.studio.lora_missing}.")
        self.main.show()
        self.main.chat.speaker.turn()

    def action_chat_mode(self) -> None:
        self.main.chat.mode.turn()

    def action_clear(self) -> None:
        self.main.chat.clear()

    def action_other_pane(self) -> None:
        self.main.other_pane()

    def action_theme(self) -> None:
        self.theme = theme.LIGHT.name if self.theme == theme.DARK.name else theme.DARK.name

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
            self.farewell = (
                f"{run.name} goes on training. To come back:\n  loralab-tui --attach {run_word(run.directory)}"
            )
            self.exit()
        elif answer == "stop":
            await self._told(self.runs.stop)
            self.farewell = f"{run.name} is stopped at step {run.step}: {run.directory}"
            self.exit()


def run_word(directory: str) -> str:
    """What a user types to name this run: its id where it lies with the others, its path otherwise."""
    path = Path(directory)
    return path.name if path.parent == runs_dir().resolve() else directory
