"""Two runs over each other: their curves, and what tells them apart."""

from textual import work
from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import HorizontalGroup, VerticalScroll
from textual.content import Content
from textual.screen import Screen
from textual.widgets import Static

from loralab_core.errors import BadInput
from loralab_core.runs.events import Event
from loralab_tui import words
from loralab_tui.config import keymap
from loralab_tui.runs.differences import Row, differences, results, warning
from loralab_tui.runs.reading import Reading, read_run
from loralab_tui.screens.left_once import LeftOnce
from loralab_tui.widgets.compare_chart import VOICES, CompareChart
from loralab_tui.widgets.plot import Legend
from loralab_tui.widgets.run_key import RunKey, RunKeys

REFRESH_S = 2.0
NAME = 18


class CompareRuns(LeftOnce, Screen[None]):
    """Runs that are being trained go on here too."""

    CSS_PATH = "compare_runs.tcss"
    AUTO_FOCUS = "#compare-scroll"
    HORIZONTAL_BREAKPOINTS = [(0, "-narrow"), (100, "-wide")]
    VERTICAL_BREAKPOINTS = [(0, "-short"), (32, "-tall")]
    BINDINGS = [
        Binding("escape", "back", "Back", show=False),
        Binding(keymap.BY_ID["runs_screen.compare"].key, "back", "Back", show=False, id="runs_screen.compare"),
        *(Binding(a.key, a.id, a.label, show=False, tooltip=a.tooltip, id=a.full_id) for a in keymap.COMPARE),
        *(binding for binding in keymap.bindings() if binding.id in keymap.BESIDE_COMPARE),
    ]
    OWN_ACTIONS = keymap.COMPARE

    def __init__(self, a: str, b: str) -> None:
        super().__init__()
        self.paths = [a, b]
        self.readings: list[Reading] = []
        self.by_tokens = False
        self.chart = CompareChart()
        self.legend = Legend(id="compare-legend")
        self.warning = Static(id="compare-warning", markup=False)
        self.rows = Static("reading…", id="compare-rows")

    def compose(self) -> ComposeResult:
        with HorizontalGroup(id="compare-head"):
            yield Static("Two runs compared", id="compare-title")
            yield RunKey("Esc", "Back", "back", "To the list of runs")
        yield from (self.chart, self.legend, self.warning)
        with VerticalScroll(id="compare-scroll"):
            yield self.rows
        yield RunKeys(keymap.COMPARE, id="compare-keys")

    def on_mount(self) -> None:
        self.look_again()
        self.set_interval(REFRESH_S, self.look_again)

    def look_again(self) -> None:
        """One reading at a time, or events would come twice."""
        if not any(worker.group == "compare" and worker.is_running for worker in self.workers):
            self.read()

    @work(thread=True, group="compare")
    def read(self) -> None:
        """The first time all of both; then what came, which is applied where it is shown."""
        try:
            readings = self.readings or [read_run(path) for path in self.paths]
            events = [reading.poll() for reading in readings]
        except (BadInput, OSError) as error:
            self.app.call_from_thread(self.rows.update, Content(str(error)))
            return
        if any(events) or not self.readings:
            self.app.call_from_thread(self._take, readings, events)

    def _take(self, readings: list[Reading], events: list[list[Event]]) -> None:
        for reading, new in zip(readings, events, strict=True):
            reading.apply(new)
        self.readings = self.readings or readings
        self.show()

    def show(self) -> None:
        if not self.readings:
            return
        a, b = self.readings
        self.chart.show((a.view, b.view), self.by_tokens)
        self.call_after_refresh(lambda: self.legend.update(self._legend()))  # which says how the chart was drawn
        said = warning(a, b)
        self.warning.set_class(bool(said), "-something")
        self.warning.update(f"! {said}")
        self.rows.update(table(results(a, b), differences(a, b), self.size.width - 6))

    def on_resize(self) -> None:
        self.call_after_refresh(self.show)

    def _legend(self) -> Content:
        lines = []
        for reading, (letter, colour, sign) in zip(self.readings, VOICES, strict=True):
            name = words.shorten(reading.record.name or reading.record.id, max(12, self.size.width - 40))
            lines.append(
                Content.assemble((f"{letter} ━ {name}", f"bold ${colour}"), (f"   {sign} validation", "$quiet"))
            )
        over = "over tokens" if self.by_tokens else "over steps"
        over += ", log scale" if self.chart.is_log else ""
        lines[0] = Content.assemble(lines[0], (f"   {over}", "$quiet"))
        return Content("\n").join(lines)

    def action_turn(self) -> None:
        """Over tokens where the batches differ; not where the tokens are not known."""
        if any(not reading.view.curve.tokens or not reading.view.curve.tokens[-1] for reading in self.readings):
            self.notify("One of the runs does not say how many tokens it had at each step.", markup=False)
            return
        self.by_tokens = not self.by_tokens
        self.show()

    def action_swap(self) -> None:
        self.readings = self.readings[::-1]
        self.paths = self.paths[::-1]
        self.show()

    def action_back(self) -> None:
        self.dismiss(None)


def table(done: list[Row], settings: list[Row], width: int) -> Content:
    """Name, A, B; a sign at the better one where that can be said."""
    cell = max(10, min(30, (width - NAME) // 2))
    head = Content.styled(f"{'':<{NAME}}{'A':<{cell}}B", "bold")
    title = "settings that differ" if settings else "their settings are the same"
    lines = [head, *(_line(row, cell) for row in done), Content.styled(title, "$quiet italic")]
    return Content("\n").join([*lines, *(_line(row, cell) for row in settings)])


def _line(row: Row, cell: int) -> Content:
    cells = []
    for number, value in enumerate(row.values):
        text = words.shorten(value, cell - 3)
        better = row.better == number
        cells.append((f"{text + (' ✓' if better else ''):<{cell}}", "bold $success" if better else ""))
    return Content.assemble((f"{row.name:<{NAME}}", "$quiet"), *cells)
