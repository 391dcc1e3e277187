"""A picture drawn by plotext, kept until what it shows changes: building one costs tens of milliseconds."""

import math
from collections.abc import Callable, Sequence

from rich.text import Text
from textual.app import RenderResult
from textual.color import Color
from textual.widgets import Static
from textual_plotext import PlotextPlot

from loralab_tui.config import keymap
from loralab_tui.runs.scale import Scale, label, log_ticks, roomy, round_ticks

LOG_SCALE = "-log-scale"  # a class of the app, so that it holds for every plot there is and will be


class Legend(Static):
    """The signs of a plot in words, right below its axis; a click changes the scale."""

    DEFAULT_CSS = "Legend:hover { text-style: underline; }"
    ALLOW_SELECT = False

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id, markup=False)
        self.tooltip = keymap.BY_ID["log_scale"].tooltip

    async def on_click(self) -> None:
        await self.app.run_action("log_scale")


class Plot(PlotextPlot):
    """`content` says what is shown (compared to know whether it changed), `draw` draws it."""

    ALLOW_SELECT = False

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._key: tuple[object, ...] = ()
        self._picture: Text = Text("")
        self._height: Callable[[float], float] = float
        self.built = 0
        self.is_log = False  # as it was drawn last

    def content(self) -> tuple[object, ...]:
        raise NotImplementedError

    def draw(self) -> None:
        raise NotImplementedError

    def show_changes(self) -> None:
        """Draw again if anything changed; called at most twice a second."""
        if self._key != self._state():
            self.refresh()

    def render(self) -> RenderResult:
        if self._key != self._state():
            self._key = self._state()
            self.plt.clear_figure()
            self.plt.xaxes(True, False)
            self.plt.yaxes(True, False)
            self.draw()
            picture = super().render()
            self._picture = picture if isinstance(picture, Text) else Text("")
            self.built += 1
        return self._picture

    def _state(self) -> tuple[object, ...]:
        return (self.content(), self.size, self.app.theme, self.app.has_class(LOG_SCALE))

    def rgb(self, name: str) -> tuple[int, int, int]:
        return Color.parse(self.app.theme_variables[name]).rgb

    def logs(self, heights: Scale) -> bool:
        """Whether equal ratios stand equally far apart: a choice for the session, if every value has a logarithm."""
        return self.app.has_class(LOG_SCALE) and heights.low > 0

    def line(self, places: Sequence[float], values: Sequence[float], colour: str) -> None:
        self.plt.plot(list(places), list(map(self._height, values)), marker="braille", color=self.rgb(colour))

    def signs(self, places: Sequence[float], values: Sequence[float], sign: str, colour: str) -> None:
        if places:
            self.plt.scatter(list(places), list(map(self._height, values)), marker=sign, color=self.rgb(colour))

    def axes(self, first: float, last: float, heights: Scale, floor: bool) -> float:
        """Round numbers on both; returns the value of the bottom row, which is free of data where `floor` is set."""
        heights = roomy(heights)
        self.is_log = logs = self.logs(heights)
        self._height = math.log10 if logs else float
        low, high = self._height(heights.low), self._height(heights.high)
        bottom = low - ((high - low) / max(2, self.size.height - 3) if floor else 0)
        self.plt.ylim(bottom, high)
        self.plt.xlim(first, last if last > first else first + 1)
        ticks = (log_ticks if logs else round_ticks)(heights.low, heights.high, max(3, self.size.height // 3))
        self.plt.yticks(list(map(self._height, ticks)), list(map(label, ticks)))
        ticks = [tick for tick in round_ticks(first, last, max(2, self.size.width // 8)) if tick == int(tick)]
        self.plt.xticks(ticks, list(map(label, ticks)))
        return 10.0**bottom if logs else bottom
