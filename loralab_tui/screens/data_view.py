"""F10: what the model will see. Samples of the corpus before training, the batch trained last during it."""

from collections.abc import Awaitable, Callable
from contextlib import suppress

from textual import on, work
from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import Horizontal, HorizontalGroup, Vertical, VerticalScroll
from textual.content import Content
from textual.screen import Screen
from textual.widgets import Static

from loralab_core.errors import LoraLabError
from loralab_core.wire.messages import Batch
from loralab_tui import words
from loralab_tui.config import keymap
from loralab_tui.data import figures as corpus_figures
from loralab_tui.data import looking as data
from loralab_tui.data import marked
from loralab_tui.screens.left_once import LeftOnce
from loralab_tui.studio import Studio
from loralab_tui.widgets.choice import Choice
from loralab_tui.widgets.progress import bar

PEEK_S = 2.0
HISTOGRAM_ROWS = {True: 5, False: 2}  # by whether there is room
SIDE, TALL = 42, 46  # cells of the histogram beside the statistics; of both, one below the other
Peek = Callable[[str], Awaitable[Batch]]


class Step(Static):
    """A word that can be clicked; does what its key does."""

    ALLOW_SELECT = False

    def __init__(self, text: str, action: str) -> None:
        super().__init__(text, classes="step", markup=False, id=action if action.isalpha() else None)
        self.action = action

    async def on_click(self) -> None:
        await self.run_action(f"screen.{self.action}")


class DataView(LeftOnce, Screen[None]):
    """Reads the corpus in a process of its own while it is open; asks for the live batch only while that is shown."""

    CSS_PATH = "data_view.tcss"
    AUTO_FOCUS = "#text"
    HORIZONTAL_BREAKPOINTS = [(0, "-narrow"), (100, "-wide")]
    BINDINGS = [
        Binding("escape", "back", "Back", show=False),
        Binding(keymap.BY_ID["data"].key, "back", "Back", show=False, id="data"),
        Binding("right", "step(1)", "Next sample", show=False),
        Binding("left", "step(-1)", "Sample before", show=False),
        Binding("tab", "turn", "Samples or live batch", show=False),
        *(binding for binding in keymap.bindings() if binding.id in ("help", "palette", "theme", "quit")),
    ]

    def __init__(self, studio: Studio, peek: Peek) -> None:
        super().__init__()
        self.studio, self.peek = studio, peek
        self.facts: data.Facts | None = None
        self.live_batch: Batch | None = None
        self.at = {"samples": 0, "batch": 0}
        self.said = ""
        self._asking = False

    def compose(self) -> ComposeResult:
        with HorizontalGroup(id="top"):
            yield Static(self._heading(), id="heading")
            yield Choice([("samples", "Samples"), ("batch", "Live batch")], self._first_view(), id="view")
        with HorizontalGroup(id="place"):
            yield Step("◀", "step(-1)")
            yield Static("", id="which", markup=False)
            yield Step("▶", "step(1)")
        with Horizontal(id="body"):
            with VerticalScroll(id="text"):
                yield Static("", id="marked", markup=False)
            with Vertical(id="figures"):
                yield Static("", id="statistics")
                yield Static("", id="histogram")
        yield Static(marked.LEGEND, id="legend")
        with HorizontalGroup(id="keys"):
            yield Static("←→ another sample   ↑↓ PgUp PgDn read", markup=False)
            yield Step("Tab samples or live batch", "turn")
            yield Step("Esc back", "back")

    def _heading(self) -> Content:
        about = words.shorten(self.studio.corpus.name, 28) if self.studio.corpus else ""
        return Content.assemble(("What the model will see", "bold $lora-voice"), "   ", (about, "$quiet"))

    def _first_view(self) -> str:
        return "batch" if self._live else "samples"

    @property
    def _live(self) -> bool:
        return self.studio.live and self.studio.run is not None and self.studio.run.step > 0

    @property
    def view(self) -> Choice:
        return self.query_one("#view", Choice)

    def on_mount(self) -> None:
        self.look()
        self.set_interval(PEEK_S, self._ask_batch)
        self._ask_batch()
        self.show()

    @work(exclusive=True, group="look")
    async def look(self) -> None:
        """Ends with the screen, and the process with it."""
        try:
            self._say("reading the corpus…")
            self.facts = await data.facts(data.question(self.studio), self._progress)
            self.said = ""
        except LoraLabError as error:
            self._say(f"✕ {str(error)[:1].upper()}{str(error)[1:]}")
        self.show()

    def _progress(self, done: int, total: int) -> None:
        filled, rest = bar(done / total if total else 1.0, 30)
        self._say(f"reading the corpus\n\n{filled}{rest} {words.size(done)} of {words.size(total)}\n\nEsc cancels")

    def _say(self, sentence: str) -> None:
        self.said = sentence
        self.show()

    def _ask_batch(self) -> None:
        if self._live and self.view.value == "batch" and not self._asking:
            self._fetch_batch()

    @work(group="peek")
    async def _fetch_batch(self) -> None:
        run = self.studio.run
        self._asking = True
        try:
            with suppress(LoraLabError):  # nothing trained yet, or the run has just ended: the next try tells
                self.live_batch = await self.peek(run.directory) if run else None
        finally:
            self._asking = False
        self.show()

    # ---- what is on the screen

    def show(self) -> None:
        self.view.allow("batch", self._live or self.live_batch is not None, "there is a live batch while a run trains")
        self.query_one("#turn").display = not self.view.options[1].disabled
        narrow = self.has_class("-narrow")
        self.query_one("#which", Static).update(self._place())
        parts = self._parts()
        text: Content | str = self.said or self._waiting()
        if parts is not None:
            text = marked.content(parts, max(20, self.query_one("#text").content_size.width - 1))
        self.query_one("#marked", Static).update(text)
        column = self.query_one("#figures")
        if column.display != (self.facts is not None):
            column.display = self.facts is not None
            self.call_after_refresh(self.show)  # the text has another width now
        if self.facts is None:
            return
        width = max(20, self.size.width - 3 if narrow else TALL)  # as in the .tcss: a column just shown has no size yet
        left, right = (width - SIDE - 2, SIDE) if narrow else (width, width)
        statistics = corpus_figures.short(self.facts, left) if narrow else corpus_figures.statistics(self.facts, left)
        self.query_one("#statistics", Static).update(statistics)
        tall = self.size.height >= 32
        self.query_one("#histogram", Static).update(corpus_figures.histogram(self.facts, right, HISTOGRAM_ROWS[tall]))

    def _waiting(self) -> str:
        return "waiting for the first batch…" if self.view.value == "batch" else ""

    def _parts(self) -> data.Parts | None:
        if self.view.value == "batch":
            return self.live_batch.rows[self._index] if self.live_batch and self.live_batch.rows else None
        return self.facts.samples[self._index].marked if self.facts and self.facts.samples else None

    @property
    def _count(self) -> int:
        if self.view.value == "batch":
            return len(self.live_batch.rows) if self.live_batch else 0
        return len(self.facts.samples) if self.facts else 0

    @property
    def _index(self) -> int:
        return self.at[self.view.value] % max(1, self._count)

    def _place(self) -> str:
        if not self._count:
            return self.studio.corpus.name if self.studio.corpus else ""
        where = f"{self._index + 1} of {self._count}"
        if self.view.value == "batch":
            return f"window {where}   step {self.live_batch.step if self.live_batch else 0}, as it was trained"
        assert self.facts is not None
        sample = self.facts.samples[self._index]
        spread = f" spread over {self.facts.pieces:,}" if self.facts.pieces > self._count else ""
        part = f", part {sample.piece:,} of {sample.pieces:,}" if sample.pieces > 1 else ""
        tokens = f"{sample.shown_tokens:,} tokens, {sample.trained_tokens:,} trained"
        return f"sample {where}{spread}   row {sample.row:,}{part}   {tokens}"

    # ---- keys

    def action_step(self, by: int) -> None:
        if self._count:
            self.at[self.view.value] = (self._index + by) % self._count
            self.query_one("#text").scroll_home(animate=False)
            self.show()

    def action_turn(self) -> None:
        self.view.turn()

    @on(Choice.Picked)
    def _turned(self) -> None:
        self._ask_batch()
        self.show()

    def action_back(self) -> None:
        self.dismiss(None)

    def on_resize(self) -> None:
        self.call_after_refresh(self.show)
