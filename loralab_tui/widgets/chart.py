"""The loss curve: raw dots, a smooth line, validation, and marks on the axis for what happened to the run."""

from dataclasses import dataclass

from loralab_tui import words
from loralab_tui.runs.curve import Points
from loralab_tui.runs.scale import Scale, below, scale
from loralab_tui.runs.view import RunView
from loralab_tui.widgets.plot import Plot

COLUMNS_TO_BUCKETS = 2  # each bucket keeps its smallest and largest value, so this draws 4 points a column
BUCKETS_TO_MARKS = 8  # one validation mark in four columns at most
AXIS_MARKS = {"resumed": "▲", "changed": "△", "paused": "‖"}
NEWEST = 0.25


@dataclass(frozen=True)
class Drawing:
    """What is on the picture, before it is drawn: the part of the run from index `first` on."""

    first: int
    dots: Points
    validation: list[tuple[int, float]]
    scale: Scale | None


def drawing(view: RunView, buckets: int, share: float = 1.0) -> Drawing:
    first = view.curve.newest(share) if share < 1 else 0
    start = view.curve.steps[first] if first else 0
    dots = view.curve.dots(buckets, first)
    validation = [(step, loss) for step, loss in view.validation if step >= start]
    heights = [loss for _, loss in validation]
    found = scale(dots[1], heights) if dots[1] or heights else None
    return Drawing(first, dots, spread(validation, buckets // BUCKETS_TO_MARKS, view.best), found)


def spread(marks: list[tuple[int, float]], most: int, keep: tuple[int, float] | None) -> list[tuple[int, float]]:
    """About `most` of the marks, so that they do not hide the line: evenly chosen, the last and `keep` among them."""
    stride = -(-len(marks) // max(1, most))
    chosen = marks[::-1][:: max(1, stride)][::-1]
    return sorted({*chosen, keep}) if keep in marks and keep is not None else chosen


class LossChart(Plot):
    """Shows a RunView: all of it, or the newest quarter."""

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self.view: RunView | None = None
        self.share = 1.0
        self._drawing: Drawing | None = None
        self._drawn: tuple[object, ...] = ()

    def show(self, view: RunView | None) -> None:
        self.view = view
        self.show_changes()

    def zoom(self) -> None:
        """To the newest quarter, and back to all of it."""
        self.share = NEWEST if self.share == 1.0 else 1.0
        self.show_changes()

    def on_click(self) -> None:
        self.zoom()

    def content(self) -> tuple[object, ...]:
        return (id(self.view), self.view.revision if self.view else 0, self.share)

    @property
    def buckets(self) -> int:
        return max(8, self.size.width * COLUMNS_TO_BUCKETS)

    def drawing(self) -> Drawing | None:
        """Of the run's present state, made once for picture and legend."""
        key = (*self.content(), self.buckets)
        if key != self._drawn:
            begun = self.view is not None and len(self.view.curve) > 0
            self._drawing = drawing(self.view, self.buckets, self.share) if self.view and begun else None
            self._drawn = key
        return self._drawing

    def draw(self) -> None:
        shown = self.drawing()
        if self.view is not None and shown is not None and shown.scale is not None:
            self._draw_axis(self.view, shown, shown.scale)
            self._draw_curve(self.view, shown, shown.scale, self.buckets)

    def legend(self, width: int) -> str:
        """The signs that are on the picture now, with their words, as far as there is room for them."""
        shown = self.drawing()
        if self.view is None or shown is None:
            return ""
        return legend(self.view, shown, width, shown.scale is not None and self.logs(shown.scale))

    def _draw_curve(self, view: RunView, shown: Drawing, heights: Scale, buckets: int) -> None:
        inside = [(step, loss) for step, loss in zip(*shown.dots, strict=True) if loss <= heights.high]
        above = [step for step, loss in zip(*shown.dots, strict=True) if loss > heights.high]
        self.signs([step for step, _ in inside], [loss for _, loss in inside], "·", "quiet")
        for piece in view.curve.line(buckets, shown.first):
            for steps, losses in below(piece, heights.high):
                self.line(steps, losses, "lora-voice")
        self.signs([step for step, _ in shown.validation], [loss for _, loss in shown.validation], "◆", "validation")
        if view.best in shown.validation and view.best is not None:
            self.signs([view.best[0]], [view.best[1]], "★", "success")
        self.signs(above, [heights.high] * len(above), "↑", "warning")

    def _draw_axis(self, view: RunView, shown: Drawing, heights: Scale) -> None:
        """Round numbers, and what happened to the run as signs along the bottom."""
        steps = view.curve.steps
        marks = [mark for mark in view.marks if mark.step >= steps[shown.first]]
        bottom = self.axes(steps[shown.first], steps[-1], heights, bool(marks))
        for mark in marks:
            self.signs([mark.step], [bottom], AXIS_MARKS[mark.kind], "foreground")


def legend(view: RunView, shown: Drawing, width: int, logs: bool = False) -> str:
    """What is usual goes first where room is short; what happened stays."""
    begin = view.curve.steps[shown.first]
    kinds = {mark.kind for mark in view.marks if mark.step >= begin}
    best = view.best if view.best in shown.validation else None
    tokens = view.curve.tokens[-1]
    parts = [
        (1, f"from step {begin}" if shown.first else ""),
        (1, "log scale" if logs else ""),
        (5, "· loss of a step"),
        (4, "━ smooth"),
        (3, "◆ validation" if shown.validation else ""),
        (2, f"★ best {best[1]:.2f}" if best else ""),
        (0, f"↑ up to {shown.scale.cut:.1f}" if shown.scale and shown.scale.cut is not None else ""),
        *((1, f"{sign} {kind}" if kind in kinds else "") for kind, sign in AXIS_MARKS.items()),
        (6, f"{words.count(tokens)} tokens" if tokens else ""),
    ]
    return fitting([(rank, text) for rank, text in parts if text], width)


def fitting(parts: list[tuple[int, str]], width: int) -> str:
    """The texts in a line; those of the highest rank are left out until it fits."""
    while parts and len("  ".join(text for _, text in parts)) > width:
        parts.remove(max(parts, key=lambda part: part[0]))
    return "  ".join(text for _, text in parts)
