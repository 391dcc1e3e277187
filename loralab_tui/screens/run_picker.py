"""F5: the runs of this machine, the newest first. Opening one shows its curve; F2 there resumes it."""

import time

from rich.text import Text
from textual import on, work
from textual.app import ComposeResult
from textual.containers import Vertical
from textual.widgets import DataTable, Static

from loralab_core.errors import BadInput
from loralab_core.runs.directory import list_runs
from loralab_core.runs.summary import Summary, spark, summarise, thin
from loralab_tui import words
from loralab_tui.screens.dialog import Dialog

SIGNS = {"running": "▶", "finished": "✓", "stopped": "■", "failed": "✕", "interrupted": "!"}


class RunPicker(Dialog[str]):
    """Dismissed with a run's directory."""

    CSS_PATH = ["dialog.tcss", "pickers.tcss"]

    def compose(self) -> ComposeResult:
        with Vertical(classes="dialog") as box:
            box.border_title = "Runs"
            box.border_subtitle = "Enter: open · Esc: back"
            yield DataTable(cursor_type="row", classes="first")
            yield Static("reading…", id="said", markup=False)

    def on_mount(self) -> None:
        columns = ("run", "state", "step", "loss", "begun", "curve")
        self.query_one(DataTable).add_columns(*columns[: 6 if self.app.size.width >= 100 else 5])
        self.read_runs()

    @work(thread=True)
    def read_runs(self) -> None:
        found = []
        for run, record in reversed(list_runs()):
            try:
                found.append(summarise(run, record))
            except BadInput:
                continue
        self.app.call_from_thread(self._show, found)

    def _show(self, found: list[Summary]) -> None:
        table = self.query_one(DataTable)
        for one in found:
            table.add_row(*_row(one)[: len(table.columns)], key=one.path)
        self.say("" if found else "There are no runs yet: choose a model and a corpus, then F2 trains.")

    @on(DataTable.RowSelected)
    def _picked(self, event: DataTable.RowSelected) -> None:
        self.dismiss(event.row_key.value)


def _row(one: Summary) -> tuple[Text, ...]:
    """Name and model in one column: people look for either."""
    step = f"{one.step}/{one.steps}" if one.steps else str(one.step)
    cells = (
        words.shorten(one.name or one.id, 24),
        f"{SIGNS[one.status]} {one.status}",
        step,
        words.real(one.loss),
        words.ago(time.time() - one.created),
        spark(thin(one.curve, 12)),
    )
    return tuple(Text(cell) for cell in cells)
