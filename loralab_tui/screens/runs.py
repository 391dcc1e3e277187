"""F5: all runs of this machine. The list and the run one is on, read beside the screen; what one can do with it."""

from textual import on, work
from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import Horizontal, HorizontalGroup
from textual.events import Key
from textual.timer import Timer
from textual.widgets import DataTable, Input, Static
from textual.worker import get_current_worker

from loralab_core.errors import BadInput
from loralab_core.runs.events import Event
from loralab_core.runs.summaries import Summaries
from loralab_core.runs.summary import Summary
from loralab_tui.config import keymap
from loralab_tui.runs.reading import Reading, Shelf, read_run
from loralab_tui.screens.runs_actions import RunActions, RunDeleted, RunRenamed
from loralab_tui.widgets.chart import LossChart
from loralab_tui.widgets.run_details import RunDetails
from loralab_tui.widgets.run_key import RunKey, RunKeys
from loralab_tui.widgets.run_table import headline, searched

REFRESH_S = 2.0
REST_S = 0.15  # a cursor that moves on reads nothing
BUNCH = 20  # runs shown at once while the list is read for the first time


class RunsScreen(RunActions):
    """Dismissed with what to do with which run, or None."""

    CSS_PATH = "runs.tcss"
    AUTO_FOCUS = "RunTable"
    HORIZONTAL_BREAKPOINTS = [(0, "-narrow"), (100, "-wide")]
    VERTICAL_BREAKPOINTS = [(0, "-short"), (32, "-tall")]
    BINDINGS = [
        *(binding for binding in keymap.bindings() if binding.id in keymap.BESIDE_RUNS and binding.id != "runs"),
        Binding(keymap.BY_ID["runs"].key, "back", "Back", show=False, id="runs"),
        Binding("escape", "back", "Back", show=False),
    ]

    def __init__(self, on_main: str | None = None) -> None:
        """`on_main`: the directory of the run on the main screen."""
        super().__init__(on_main)
        self.head = Static("Runs", id="runs-title", markup=False)
        self.filter = Input(placeholder="type to filter: a name, a model, a corpus, a state", id="runs-filter")
        self.filter.cursor_blink = False  # a blink is two frames a second on an idle line
        self.said = Static(id="runs-said", markup=False)
        self.details = RunDetails(markup=False)
        self.chart = LossChart()
        self.summaries = Summaries()
        self.readings = Shelf()
        self._whole = False  # the list was read to its end once
        self._rest: Timer | None = None

    def compose(self) -> ComposeResult:
        with HorizontalGroup(id="runs-head"):
            yield self.head
            yield RunKey("Esc", "Back", "back", "To the main screen")
        yield from (self.filter, self.table, self.said)
        with Horizontal(id="runs-below", classes="-nothing"):
            yield self.details
            yield self.chart
        yield RunKeys(keymap.RUNS, id="runs-keys")

    def on_mount(self) -> None:
        self.say("reading…")
        self.set_interval(REFRESH_S, self.look_again)
        self.app.theme_changed_signal.subscribe(self, lambda _: self.table.repaint())
        self.look_again()

    def on_resize(self) -> None:
        self.call_after_refresh(self._lay_out)

    def _lay_out(self) -> None:
        self.table.lay_out(self.table.size.width)
        self.show(self.found)

    # ---- the list

    @on(RunDeleted)
    @on(RunRenamed)
    def look_again(self) -> None:
        """Unless it is being read at this moment; then its end shows the newest anyway."""
        if not self._is_reading("list"):
            self.read_list()

    @work(thread=True, group="list")
    def read_list(self) -> None:
        """The first time what has been read is shown now and then; later only the whole."""
        found: list[Summary] = []
        first = not self._whole
        for one in self.summaries.read():
            if get_current_worker().is_cancelled:
                return
            found.append(one)
            if first and len(found) % BUNCH == 0:
                self.app.call_from_thread(self.show, list(found))
        self.app.call_from_thread(self._read_whole, found)

    def _read_whole(self, found: list[Summary]) -> None:
        self._whole = True
        self.show(found)
        if (one := self.current) is not None and one.status == "running":
            self.read_current(one.path)

    def show(self, found: list[Summary]) -> None:
        self.found = found
        if not self.is_mounted or not self.table.columns:
            return
        texts = self.filter.value.lower().split()
        shown = [one for one in found if all(text in searched(one) for text in texts)]
        self.table.show(shown)
        self.head.update(headline(found))
        if self._whole or shown:
            self.say("" if shown else self._why_empty())
        self.show_current()

    def _why_empty(self) -> str:
        if self.found:
            return "No run fits what is typed above; Esc clears it."
        train = keymap.name("train")
        return f"There are no runs yet: choose a model and a corpus, then {train} on the main screen trains."

    def say(self, sentence: str) -> None:
        self.said.set_class(bool(sentence), "-something")
        self.said.update(sentence)

    # ---- the run one is on

    @on(DataTable.RowHighlighted)
    def _moved(self) -> None:
        self.show_current()
        self._read_soon()

    def _read_soon(self) -> None:
        if self._rest is not None:
            self._rest.stop()
        self._rest = self.set_timer(REST_S, self._read_current)

    def _read_current(self) -> None:
        if (one := self.current) is not None:
            self.read_current(one.path)

    def show_current(self) -> None:
        one = self.current
        self.query_one("#runs-below").set_class(one is None, "-nothing")
        if one is not None:
            reading = self.readings.get(one.path)
            self.details.show(one, reading)
            self.chart.show(reading.view if reading else None)

    def read_current(self, path: str) -> None:
        """One at a time: what is asked for meanwhile is read behind it."""
        if not self._is_reading("current"):
            self._read_one(path)

    @work(thread=True, group="current")
    def _read_one(self, path: str) -> None:
        """All of it once, then what came since: decoded here, applied where it is shown."""
        known = self.readings.get(path)
        try:
            reading, events = (known, known.poll()) if known else (read_run(path), [])
        except (BadInput, OSError):
            return
        self.app.call_from_thread(self._take, path, reading, events)

    def _take(self, path: str, reading: Reading, events: list[Event]) -> None:
        self.readings.put(path, reading, events)
        self.show_current()
        if self.table.current != path:
            self._read_soon()

    def _is_reading(self, group: str) -> bool:
        return any(worker.group == group and worker.is_running for worker in self.workers)

    # ---- where the keys go

    def on_key(self, event: Key) -> None:
        """Letters go to the filter; from there the arrows still move in the list."""
        moves = {
            "up": self.table.action_cursor_up,
            "down": self.table.action_cursor_down,
            "pageup": self.table.action_page_up,
            "pagedown": self.table.action_page_down,
        }
        if self.focused is self.filter and event.key in moves:
            event.stop()
            moves[event.key]()
        elif self.focused is not self.filter and event.is_printable and event.character and event.key != "space":
            event.stop()
            self.filter.focus()
            self.filter.insert_text_at_cursor(event.character)

    def action_filter(self) -> None:
        self.filter.focus()

    def action_back(self) -> None:
        """Esc: clear the filter, then go back."""
        if self.filter.value or self.filter.has_focus:
            self.filter.value = ""
            self.table.focus()
        else:
            self.dismiss(None)

    @on(Input.Changed, "#runs-filter")
    def _filtered(self) -> None:
        self.show(self.found)

    @on(Input.Submitted, "#runs-filter")
    @on(DataTable.RowSelected)
    def _entered(self) -> None:
        self.action_open()
