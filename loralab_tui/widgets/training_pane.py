"""The right half: where the run stands, its curve, its numbers, what happened to it."""

import asyncio
import os
from textwrap import wrap

from textual import work
from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import HorizontalGroup, Vertical, VerticalScroll
from textual.content import Content
from textual.widgets import Static

from loralab_tui.chat.samples import samples_line
from loralab_tui.config import keymap
from loralab_tui.runs.view import RunView
from loralab_tui.states.cards import card
from loralab_tui.studio import Studio
from loralab_tui.widgets.card_box import CardBox
from loralab_tui.widgets.chart import LossChart
from loralab_tui.widgets.figures import numbers
from loralab_tui.widgets.plot import Legend
from loralab_tui.widgets.preview import Preview
from loralab_tui.widgets.progress import ProgressLine


class Way(Static):
    """A line that leads to another screen; does what the key of its action does."""

    ALLOW_SELECT = False

    def __init__(self, action: str) -> None:
        super().__init__(id=f"way-{action}", classes="way")
        self.action = keymap.BY_ID[action]
        self.tooltip = self.action.tooltip

    def show(self, text: Content | str) -> None:
        self.update(Content.assemble(("▸ ", "$primary"), (f"{self.action.key_label} ", "bold $primary"), text))

    async def on_click(self) -> None:
        await self.app.run_action(self.action.id)


class TrainingPane(Vertical, can_focus=True):
    BINDINGS = [
        Binding("pageup", "scroll_log(-1)", "Older events", show=False),
        Binding("pagedown", "scroll_log(1)", "Newer events", show=False),
    ]
    DEFAULT_CSS = """
    TrainingPane { background: $surface; padding: 0 1; }
    TrainingPane #training-title { height: 1; margin-bottom: 1; color: $quiet; text-style: bold; }
    TrainingPane:focus #training-title { color: $primary; }
    TrainingPane LossChart { height: 1fr; min-height: 5; margin-top: 1; }
    TrainingPane #legend { height: 1; color: $quiet; }
    TrainingPane #numbers { height: auto; margin-top: 1; }
    TrainingPane #chat-strip { height: 1; color: $quiet; display: none; text-wrap: nowrap; }
    TrainingPane #events { height: auto; max-height: 5; margin-top: 1; scrollbar-size-vertical: 1; }
    TrainingPane #log { height: auto; color: $quiet; }
    TrainingPane #ways { height: 1; margin-top: 1; }
    TrainingPane .way { width: auto; height: 1; color: $quiet; text-wrap: nowrap; text-overflow: ellipsis; }
    TrainingPane .way:hover { text-style: underline; }
    TrainingPane #way-prompts { width: 1fr; margin-right: 2; }
    """

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self.title = Static("TRAINING", id="training-title", markup=False)
        self.card = CardBox(id="card", markup=False)
        self.preview = Preview(id="preview")
        self.progress = ProgressLine(id="progress")
        self.chart = LossChart(id="chart")
        self.legend = Legend(id="legend")
        self.numbers = Static(id="numbers")
        self.log_lines = Static(id="log", markup=False)
        self.events = VerticalScroll(self.log_lines, id="events", can_focus=False)
        self.prompts, self.data = Way("prompts"), Way("data")
        self.ways = HorizontalGroup(self.prompts, self.data, id="ways")
        self.strip = Static(id="chat-strip", markup=False)
        self._forecast_of: tuple[object, ...] = ()

    def compose(self) -> ComposeResult:
        yield from (self.title, self.card, self.preview, self.progress, self.chart, self.legend)
        yield from (self.numbers, self.events, self.ways, self.strip)

    def on_mount(self) -> None:
        self.events.anchor()

    def show(self, studio: Studio) -> None:
        """Everything, from the studio; the caller decides how often."""
        run = studio.run
        if run is None:
            self._keep_forecast(studio)
        self.title.update(f"TRAINING  {run.name if run else ''}")
        self.card.show(card(studio))
        begun = run is not None and len(run.curve) > 0
        self.progress.display = begun or (run is not None and run.phase.live)
        self.progress.show(run)
        self.preview.show(studio)
        self.chart.display = not self.preview.display
        self.chart.visible = begun
        self.chart.show(run)
        self.legend.visible = begun
        self.legend.update(self.chart.legend(self.size.width - 2))
        self.numbers.update(numbers(run, self.size.width - 2) if run else "")
        self.events.display = run is not None and bool(run.log)
        self._show_log(run)
        self._show_ways(run, begun)

    def _show_log(self, run: RunView | None) -> None:
        """Every event, the newest at the bottom; long ones (an exported path) in full."""
        width = max(20, self.size.width - 4)
        entries = run.log if run else ()
        self.log_lines.update(
            "\n".join(line for entry in entries for line in wrap(entry, width, subsequent_indent="  "))
        )

    def action_scroll_log(self, pages: int) -> None:
        self.events.scroll_relative(y=pages * max(1, self.events.size.height - 1), animate=False)

    def _show_ways(self, run: RunView | None, begun: bool) -> None:
        """Where more is to be seen: what the model says at each checkpoint, what it is being trained on."""
        self.ways.display = begun
        if run is not None and begun:
            said = samples_line(run.samples)
            self.prompts.show(said if said.plain else "three prompts, step by step")
            self.data.show("live batch" if run.phase.live else "data")

    def _keep_forecast(self, studio: Studio) -> None:
        """What earlier runs say of this plan, looked up once for each model, corpus and plan: it holds for no other."""
        models = (studio.status.model if studio.status else "", studio.model or "")
        model = next((place for place in models if os.path.isdir(place)), "")
        places = studio.corpus.places if studio.corpus else ()
        key = (model, places, studio.plan)
        if key == self._forecast_of or not studio.can_train:
            return
        self._forecast_of, studio.forecast = key, ""
        self.workers.cancel_group(self, "forecast")
        if model:
            self._look_up(studio, model, places)

    @work(exclusive=True, group="forecast")
    async def _look_up(self, studio: Studio, model: str, corpus: tuple[str, ...]) -> None:
        from loralab_tui.runs import measured as history  # after the first paint

        plan = studio.plan
        known = await asyncio.to_thread(history.measured, model, corpus, plan)
        studio.forecast = history.forecast(plan, history.window_of(model, plan), known)
        self.show(studio)
