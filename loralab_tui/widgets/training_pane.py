"""The right half: where the run stands, its curve, its numbers, what happened to it."""

from textwrap import wrap

from textual.app import ComposeResult
from textual.containers import Vertical
from textual.content import Content
from textual.widgets import Static

from loralab_core.runs.summary import spark, thin
from loralab_tui import words
from loralab_tui.run_view import RunView
from loralab_tui.studio import Card, Studio, card
from loralab_tui.widgets.chart import LossChart, legend
from loralab_tui.widgets.progress import ProgressLine


class CardBox(Static):
    """The state in words, when there is something to say or to press."""

    DEFAULT_CSS = """
    CardBox { height: auto; padding: 0 1; margin-bottom: 1; border-left: outer $primary; background: $panel; }
    CardBox.good { border-left: outer $success; }
    CardBox.bad { border-left: outer $error; }
    """
    SIGNS = {"good": "✓ ", "bad": "✕ ", "plain": ""}

    def show(self, shown: Card | None) -> None:
        self.display = shown is not None
        if shown is not None:
            self.set_classes(shown.tone)
            self.update(Content.assemble((f"{self.SIGNS[shown.tone]}{shown.title}", "bold"), "\n", shown.text))


class TrainingPane(Vertical, can_focus=True):
    DEFAULT_CSS = """
    TrainingPane { background: $surface; padding: 0 1; }
    TrainingPane #training-title { height: 1; margin-bottom: 1; color: $quiet; text-style: bold; }
    TrainingPane:focus #training-title { color: $primary; }
    TrainingPane LossChart { height: 1fr; min-height: 6; margin-top: 1; }
    TrainingPane #legend { height: 1; color: $quiet; }
    TrainingPane #numbers { height: auto; margin-top: 1; }
    TrainingPane #chat-strip { height: 1; color: $quiet; display: none; text-wrap: nowrap; }
    TrainingPane #log { height: 5; margin-top: 1; color: $quiet; }
    """

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self.title = Static("TRAINING", id="training-title", markup=False)
        self.card = CardBox(id="card", markup=False)
        self.progress = ProgressLine(id="progress")
        self.chart = LossChart(id="chart")
        self.legend = Static(id="legend", markup=False)
        self.numbers = Static(id="numbers")
        self.log_lines = Static(id="log", markup=False)
        self.strip = Static(id="chat-strip", markup=False)

    def compose(self) -> ComposeResult:
        yield from (self.title, self.card, self.progress, self.chart, self.legend)
        yield from (self.numbers, self.log_lines, self.strip)

    def show(self, studio: Studio) -> None:
        """Everything, from the studio; the caller decides how often."""
        run = studio.run
        self.title.update(f"TRAINING  {run.name if run else ''}")
        self.card.show(card(studio))
        begun = run is not None and len(run.curve) > 0
        self.progress.display = begun or (run is not None and run.phase.live)
        self.progress.show(run)
        self.chart.visible = begun
        self.chart.show(run)
        self.legend.update(legend(run))
        self.numbers.update(numbers(run, self.size.width - 2) if run else "")
        self._show_log(run)

    def _show_log(self, run: RunView | None) -> None:
        """The newest lines that fit, long ones (an exported path) in full."""
        log = self.log_lines
        width, height = max(20, log.size.width), max(1, log.size.height)
        entries = list(run.log)[-height:] if run else []
        lines = [line for entry in entries for line in wrap(entry, width, subsequent_indent="  ")]
        log.update("\n".join(lines[-height:]))


def numbers(run: RunView, width: int) -> Content:
    """Named figures in three columns; only what the engine has said."""
    if not len(run.curve):
        return Content("")
    pairs = _figures(run)
    cell = max(14, width // 3)
    rows = [pairs[start : start + 3] for start in range(0, len(pairs), 3)]
    return Content("\n").join(Content("").join(_cell(name, value, cell) for name, value in row) for row in rows)


def _figures(run: RunView) -> list[tuple[str, str]]:
    last, best = run.numbers, run.best
    speed = last.get("tokens_per_s")
    return [
        ("loss", words.real(last.get("loss"))),
        ("val", words.real(run.validation[-1][1]) if run.validation else words.DASH),
        ("best", f"{best[1]:.2f} @{best[0]}" if best else words.DASH),
        ("tok/s", f"{speed:,.0f}" if speed else words.DASH),
        ("lr", words.rate(last.get("lr"))),
        ("gradient", words.real(last.get("grad_norm"))),
        ("tokens", words.count(last.get("tokens"))),
        ("packed", f"{100 * last['fill']:.0f}%" if last.get("fill") else words.DASH),
        ("memory", words.size(last.get("memory_bytes"))),
    ]


def _cell(name: str, value: str, width: int) -> Content:
    space = " " * max(1, width - len(name) - len(value) - 1)
    return Content.assemble((name, "$quiet"), " ", (value, "bold"), space)


def strip_text(run: RunView | None) -> str:
    """The training side in one line, for the chat when it has the screen to itself."""
    if run is None:
        return "no training yet"
    losses = [value if value == value else None for value in run.curve.losses]
    parts = [run.phase.value]
    if losses:
        share = f"{100 * run.step // run.total_steps}%" if run.total_steps else f"step {run.step}"
        parts = [f"{spark(thin(losses, 12))} {words.real(run.curve.losses[-1])}", share]
        parts.append(
            f"{words.clock(run.numbers.get('eta_s'))} left" if run.phase.value == "training" else run.phase.value
        )
    return " · ".join(parts)
