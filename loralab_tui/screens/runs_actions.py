"""What can be done with a run of the list: open, resume, extend, rename, delete, compare."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from textual import work
from textual.binding import Binding
from textual.message import Message
from textual.screen import Screen

from loralab_core.errors import BadInput, LoraLabError
from loralab_core.runs.directory import RunDirectory, delete_run
from loralab_core.runs.naming import check_name, rename_run
from loralab_core.runs.owner import owner
from loralab_core.runs.summary import Summary
from loralab_tui import words
from loralab_tui.config import keymap
from loralab_tui.screens.ask_line import AskLine
from loralab_tui.screens.confirm import Confirm
from loralab_tui.screens.left_once import LeftOnce
from loralab_tui.widgets.run_table import RunTable

Given = TypeVar("Given")


@dataclass(frozen=True)
class Chosen:
    """`doing`: "open", "resume" or "extend" (to `steps` in all)."""

    doing: str
    path: str
    steps: int | None = None


@dataclass
class RunDeleted(Message):
    path: str


@dataclass
class RunRenamed(Message):
    path: str
    name: str


class RunActions(LeftOnce, Screen[Chosen | None]):
    """One `action_<id>` for each entry of `keymap.RUNS`."""

    BINDINGS = [
        Binding(a.key, a.id, a.label, show=False, priority=a.id == "filter", tooltip=a.tooltip, id=a.full_id)
        for a in keymap.RUNS
    ]
    OWN_ACTIONS = keymap.RUNS  # the palette lists them while one is here

    def __init__(self, on_main: str | None) -> None:
        super().__init__()
        self.on_main = on_main
        self.table = RunTable()
        self.found: list[Summary] = []

    @property
    def current(self) -> Summary | None:
        """The run the cursor is on."""
        path = self.table.current
        return next((one for one in self.found if one.path == path), None)

    def tell(self, sentence: str) -> None:
        self.notify(sentence, markup=False)

    def action_open(self) -> None:
        if (one := self.current) is not None:
            self.dismiss(Chosen("open", one.path))

    def action_resume(self) -> None:
        one = self.current
        if one is None:
            return
        if one.status == "finished":
            self.tell(f"This run did all it was to do; {_key('extend')} trains it for more steps.")
        elif one.status == "running":
            self.tell(f"This run is being trained now; {_key('open')} shows it.")
        else:
            self.dismiss(Chosen("resume", one.path))

    @work(group="dialog", exclusive=True)
    async def action_extend(self) -> None:
        one = self.current
        if one is None:
            return
        lead = f"{one.name or one.id} is at step {one.step} of {one.steps or '?'}. How many steps in all?"
        proposed = str((one.steps or one.step) + max(1, (one.steps or one.step) // 2))
        text = await self.app.push_screen_wait(
            AskLine("Extend", lead, proposed, lambda typed: _more_steps(typed, one), "Extend")
        )
        if text is not None:
            self.dismiss(Chosen("extend", one.path, int(text)))

    @work(group="dialog", exclusive=True)
    async def action_rename(self) -> None:
        one = self.current
        if one is None:
            return
        lead = f"{one.id} keeps its files and its id; only the name that is shown changes."
        text = await self.app.push_screen_wait(AskLine("Rename", lead, one.name or "", _new_name, "Rename"))
        if text is not None:
            name = await self._told(rename_run, RunDirectory(Path(one.path)), text)
            self.post_message(RunRenamed(one.path, name or one.id))

    @work(group="dialog", exclusive=True)
    async def action_delete(self) -> None:
        one = self.current
        if one is None:
            return
        if one.status == "running":
            stop = keymap.name("stop")
            self.tell(
                f"This run is being trained now: {_key('open')} opens it, {stop} stops it, then it can be deleted."
            )
            return
        question = Confirm(
            "Delete this run?",
            f"{one.name or one.id}: {words.size(one.disk_bytes)} with its adapter, checkpoints and curve. "
            "This cannot be undone.",
            [("keep", "Keep it"), ("delete", "Delete")],
        )
        if await self.app.push_screen_wait(question) == "delete":
            await self._told(delete_idle, one.path)
            self.table.marked = [path for path in self.table.marked if path != one.path]
            self.post_message(RunDeleted(one.path))

    def action_mark(self) -> None:
        self.table.toggle_mark()

    def action_compare(self) -> None:
        from loralab_tui.screens.compare_runs import CompareRuns

        paths = self._pair()
        if len(paths) < 2:
            self.tell(f"To compare two runs mark them with {_key('mark')}, then {_key('compare')}.")
        else:
            self.app.push_screen(CompareRuns(*paths))

    def _pair(self) -> list[str]:
        """The two marked ones; else the one the cursor is on with the marked one, or with that on the main screen."""
        here = self.current.path if self.current is not None else None
        candidates = [*self.table.marked, here, self.on_main]
        return list(dict.fromkeys(path for path in candidates if path is not None))[:2]

    async def _told(self, doing: Callable[..., Given], *about: object) -> Given | None:
        """Do it in a thread; what goes wrong is said, and the dialog's work ends there."""
        try:
            return await asyncio.to_thread(doing, *about)
        except LoraLabError as error:
            self.notify(str(error), title="✕ That did not work", severity="error", timeout=15, markup=False)
            raise asyncio.CancelledError from error


def _key(action: str) -> str:
    return keymap.name(f"runs_screen.{action}")


def delete_idle(path: str) -> None:
    """Delete a run that nobody writes. LoraLabError for one that was taken up meanwhile, or that the disk keeps."""
    run = RunDirectory(Path(path))
    if (by := owner(run)) is not None:
        raise BadInput(f"{run.path.name} is being trained by process {by.pid}; stop it first")
    delete_run(run)


def _more_steps(text: str, one: Summary) -> str:
    if not text.strip().isdecimal():
        raise BadInput("give a whole number of steps")
    more = int(text) - one.step
    if more <= 0:
        raise BadInput(f"it is at step {one.step} already: give a larger number")
    return f"Trains {more} more step{'s' if more > 1 else ''}."


def _new_name(text: str) -> str:
    return "" if check_name(text) else "Empty takes back the name it began with."
