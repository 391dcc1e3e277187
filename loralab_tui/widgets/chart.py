"""The loss curve: raw dots, a smooth line, validation, and marks on the axis for what happened to the run."""

import math

from rich.text import Text
from textual.app import RenderResult
from textual.color import Color
from textual_plotext import PlotextPlot

from loralab_tui.run_view import RunView

COLUMNS_TO_BUCKETS = 2  # each bucket keeps its smallest and largest value, so this draws 4 points a column
AXIS_MARKS = {"resumed": "▲", "changed": "△"}


class LossChart(PlotextPlot):
    """Shows a RunView. Building a picture costs tens of milliseconds: it is kept until data, size or theme change."""

    ALLOW_SELECT = False

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self.view: RunView | None = None
        self._key: tuple[object, ...] = ()
        self._picture: Text = Text("")
        self.built = 0

    def show(self, view: RunView | None) -> None:
        """Take the run's present state; called at most twice a second."""
        self.view = view
        if self._key != self._state():
            self.refresh()

    def render(self) -> RenderResult:
        if self._key != self._state():
            self._key = self._state()
            self._draw()
            picture = super().render()
            self._picture = picture if isinstance(picture, Text) else Text("")
            self.built += 1
        return self._picture

    def _state(self) -> tuple[object, ...]:
        revision = (id(self.view), self.view.revision) if self.view else ()
        return (revision, self.size, self.app.theme)

    def _rgb(self, name: str) -> tuple[int, int, int]:
        return Color.parse(self.app.theme_variables[name]).rgb

    def _draw(self) -> None:
        plot = self.plt
        plot.clear_figure()
        plot.xaxes(True, False)
        plot.yaxes(True, False)
        if self.view is None or not len(self.view.curve):
            return
        buckets = max(8, self.size.width * COLUMNS_TO_BUCKETS)
        steps, losses = self.view.curve.dots(buckets)
        if losses:
            self.plt.scatter(steps, losses, marker="·", color=self._rgb("quiet"))
        for piece_steps, piece in self.view.curve.line(buckets):
            self.plt.plot(piece_steps, piece, marker="braille", color=self._rgb("lora-voice"))
        validation = [loss for _, loss in self.view.validation]
        if validation:
            at = [step for step, _ in self.view.validation]
            self.plt.scatter(at, validation, marker="◆", color=self._rgb("validation"))
        if losses or validation:
            self._draw_axes(self.view, losses + validation)

    def _draw_axes(self, view: RunView, heights: list[float]) -> None:
        """Round numbers, and what happened to the run as signs along the bottom."""
        low, high = min(heights), max(heights)
        for mark in view.marks:
            self.plt.scatter([mark.step], [low], marker=AXIS_MARKS[mark.kind], color=self._rgb("foreground"))
        ticks = round_ticks(low, high, max(3, self.size.height // 3))
        self.plt.yticks(ticks, [f"{tick:g}" for tick in ticks])
        ticks = round_ticks(view.curve.steps[0], view.curve.steps[-1], max(2, self.size.width // 12))
        self.plt.xticks(ticks, [f"{tick:g}" for tick in ticks])


def round_ticks(low: float, high: float, most: int) -> list[float]:
    """At most about `most` multiples of 1, 2 or 5 times a power of ten between `low` and `high`."""
    span = (high - low) or abs(low) or 1.0
    power = 10.0 ** math.floor(math.log10(span / most))
    for stride in (power * factor for factor in (1, 2, 5, 10)):
        first = math.ceil(low / stride - 1e-9)
        last = math.floor(high / stride + 1e-9)
        if last - first < most:
            break
    return [round(number * stride, 10) for number in range(first, last + 1)] or [low]


def legend(view: RunView | None) -> str:
    """The signs that are on the picture now, with their words."""
    if view is None or not len(view.curve):
        return ""
    parts = ["· loss of a step", "━ smooth"]
    if view.validation:
        parts.append("◆ validation")
    kinds = {mark.kind for mark in view.marks}
    return "  ".join(parts + [f"{sign} {kind}" for kind, sign in AXIS_MARKS.items() if kind in kinds])
