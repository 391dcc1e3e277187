"""The table of runs: one line each, as many columns as the screen has room for."""

import time
from collections.abc import Sequence

from rich.text import Text
from textual.binding import Binding
from textual.widgets import DataTable
from textual.widgets.data_table import RowDoesNotExist

from loralab_core.runs.summary import Summary, spark, thin
from loralab_tui import words
from loralab_tui.data.model_names import model_name
from loralab_tui.widgets.columns import Column, fit_columns

SIGNS = {"running": "▶", "finished": "✓", "stopped": "■", "failed": "✕", "interrupted": "!"}
COLOURS = {"running": "lora-voice", "finished": "success", "failed": "error", "interrupted": "warning"}
MARKED, UNMARKED = "●", " "
CURVE = 12
LONG = 10_000  # steps, from where on they are told in thousands


def _steps(one: Summary) -> str:
    if max(one.step, one.steps or 0) >= LONG:
        return "/".join(words.count(number) for number in (one.step, one.steps) if number is not None)
    return f"{one.step}/{one.steps}" if one.steps else str(one.step)


def _perplexity(one: Summary) -> str:
    return words.real(one.val_perplexity, 1 if (one.val_perplexity or 0) < 1000 else 0)


COLUMNS: tuple[Column[Summary], ...] = (
    Column("state", 13, 0, lambda one: f"{SIGNS[one.status]} {one.status}"),
    Column("run", 0, 0, lambda one: one.name or one.id),
    Column("model", 14, 6, lambda one: model_name(one.model)),
    Column("step", 9, 0, _steps, right=True),
    Column("loss", 5, 0, lambda one: words.real(one.loss), right=True),
    Column("ppl", 6, 2, _perplexity, right=True),
    Column("time", 8, 4, lambda one: words.clock(one.seconds) if one.seconds else words.DASH, right=True),
    Column("disk", 7, 5, lambda one: words.size(one.disk_bytes), right=True),
    Column("curve", CURVE, 1, lambda one: spark(thin(one.curve, CURVE))),
    Column("begun", 11, 7, lambda one: words.ago(time.time() - one.created), right=True),
)
LEAST_NAME = 18


def fitting(width: int) -> list[tuple[Column[Summary], int]]:
    """The columns for a table of `width` cells, and how wide each is."""
    return fit_columns(COLUMNS, width - 2, LEAST_NAME)


def searched(one: Summary) -> str:
    return " ".join((one.name or "", one.id, one.model, *one.corpus, one.status)).lower()


def headline(found: list[Summary]) -> str:
    running = sum(one.status == "running" for one in found)
    parts = [f"{len(found)}" if found else "", f"{running} running" if running else ""]
    parts += [words.size(sum(one.disk_bytes for one in found)) if found else ""]
    return "  ".join(["Runs", " · ".join(part for part in parts if part)])


class RunTable(DataTable[Text]):
    """Rows by the run's directory. `show` touches only the cells that changed."""

    BINDINGS = [
        Binding("home", "scroll_top", "First", show=False),
        Binding("end", "scroll_bottom", "Last", show=False),
    ]

    def __init__(self) -> None:
        super().__init__(cursor_type="row", classes="first")
        self.marked: list[str] = []
        self._runs: Sequence[Summary] = ()
        self._shown: dict[str, tuple[str, ...]] = {}
        self._columns: list[tuple[Column[Summary], int]] = []
        self._back_to: str | None = None  # where the cursor was before the columns changed

    @property
    def current(self) -> str | None:
        """The directory of the run the cursor is on."""
        if not self.row_count:
            return None
        return self.coordinate_to_cell_key(self.cursor_coordinate).row_key.value

    def lay_out(self, width: int) -> None:
        """Choose the columns for `width` cells; the rows have to be shown again."""
        self._back_to = self.current or self._back_to
        self._columns = fitting(width)
        self.clear(columns=True)
        self._shown = {}
        for column, cells in self._columns:
            over_marks = " " * len(f"{UNMARKED} ") if column.title == "run" else ""
            title = Text(over_marks + column.title, justify="right" if column.right else "left")
            self.add_column(title, width=cells, key=column.title)

    def show(self, runs: Sequence[Summary]) -> None:
        self._runs = runs
        rows = {one.path: self._cells(one) for one in runs}
        if list(self._shown) != list(rows)[: len(self._shown)]:
            self._begin_again(rows)
            return
        grown = len(rows) > len(self._shown)
        for path, cells in rows.items():
            if path not in self._shown:
                self.add_row(*self._texts(cells), key=path)
            elif cells != self._shown[path]:
                self._update(path, cells)
        self._shown = rows
        if grown:
            self._move_back()

    def repaint(self) -> None:
        """The same rows, in the colours of another theme."""
        self._begin_again(dict(self._shown))

    def toggle_mark(self) -> None:
        """Mark the run the cursor is on for comparing, or take the mark back; of three the first loses its own."""
        if self.current is not None:
            taken = self.current in self.marked
            self.marked = [path for path in self.marked if path != self.current] if taken else self.marked
            self.marked = self.marked if taken else [*self.marked, self.current][-2:]
            self.show(self._runs)

    def _begin_again(self, rows: dict[str, tuple[str, ...]]) -> None:
        """Other runs, or another order: the cursor stays on its run."""
        self._back_to = self.current
        self.clear()
        for path, cells in rows.items():
            self.add_row(*self._texts(cells), key=path)
        self._shown = rows
        self._move_back()

    def _move_back(self) -> None:
        if self._back_to in self._shown:
            self.move_cursor(row=self.get_row_index(self._back_to), animate=False)
            self._back_to = None

    def _update(self, path: str, cells: tuple[str, ...]) -> None:
        try:
            for (column, _), text, new, old in zip(
                self._columns, self._texts(cells), cells, self._shown[path], strict=True
            ):
                if new != old:
                    self.update_cell(path, column.title, text)
        except RowDoesNotExist:
            return

    def _cells(self, one: Summary) -> tuple[str, ...]:
        mark = MARKED if one.path in self.marked else UNMARKED
        texts = [
            words.shorten(column.text(one), width - (column.title == "run") * 2) for column, width in self._columns
        ]
        return tuple(f"{mark} {t}" if c.title == "run" else t for t, (c, _) in zip(texts, self._columns, strict=True))

    def _texts(self, cells: tuple[str, ...]) -> list[Text]:
        built = []
        for (column, _), cell in zip(self._columns, cells, strict=True):
            state = COLOURS.get(cell[2:], "quiet")
            colour = {"state": state, "curve": "lora-voice"}.get(column.title)
            style = self.app.theme_variables[colour] if colour else ""
            built.append(Text(cell, style=style, justify="right" if column.right else "left"))
        return built
