"""Two runs' smooth curves over each other, told apart by a letter on the line as well as by colour."""

from loralab_tui.runs.scale import below, scale
from loralab_tui.runs.view import RunView
from loralab_tui.widgets.chart import spread
from loralab_tui.widgets.plot import Plot

VOICES = (("A", "base-voice", "◆"), ("B", "lora-voice", "◇"))
COLUMNS_TO_MARK = 6
LETTERS = 5  # on each line


class CompareChart(Plot):
    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self.views: tuple[RunView, ...] = ()
        self.by_tokens = False

    def show(self, views: tuple[RunView, ...], by_tokens: bool) -> None:
        self.views, self.by_tokens = views, by_tokens
        self.show_changes()

    def content(self) -> tuple[object, ...]:
        return (*((id(view), view.revision) for view in self.views), self.by_tokens)

    def draw(self) -> None:
        buckets = max(8, self.size.width)
        lines = [view.curve.line(buckets, by_tokens=self.by_tokens) for view in self.views]
        marks = [self._validation(view) for view in self.views]
        places = [place for line in lines for piece, _ in line for place in piece]
        if not places:
            return
        losses = [loss for line in lines for _, piece in line for loss in piece]
        heights = scale(losses, [loss for points in marks for _, loss in points])
        self.axes(min(0, *places), max(places), heights, floor=False)
        for line, points, (letter, colour, sign) in zip(lines, marks, VOICES, strict=False):
            parts = [part for piece in line for part in below(piece, heights.high)]
            for where, values in parts:
                self.line(where, values, colour)
            self.signs([place for place, _ in points], [loss for _, loss in points], sign, colour)
            self._letters(parts, letter, colour)

    def _validation(self, view: RunView) -> list[tuple[int, float]]:
        marks = spread(view.validation, self.size.width // COLUMNS_TO_MARK, view.best)
        return [(view.curve.tokens_at(step), loss) for step, loss in marks] if self.by_tokens else marks

    def _letters(self, parts: list[tuple[list[int], list[float]]], letter: str, colour: str) -> None:
        """Some along the line, those of B between those of A where both are as long."""
        points = [point for part in parts for point in zip(*part, strict=True)]
        shift = 0.3 if letter == "A" else 0.7
        many = LETTERS if points else 0  # no step yet, or none below the edge
        chosen = [points[int((number + shift) * len(points) / LETTERS)] for number in range(many)]
        self.signs([place for place, _ in chosen], [value for _, value in chosen], letter, colour)
