"""How far the run is: a bar, steps, percent, time left, in as many words as the width allows."""

from textual.content import Content
from textual.widgets import Static

from loralab_tui import words
from loralab_tui.runs.view import Phase, RunView


def bar(share: float, width: int) -> tuple[str, str]:
    """Filled part and rest, to half a cell; thick and thin, so that it reads without colour too."""
    halves = round(min(1.0, max(0.0, share)) * width * 2)
    filled = "━" * (halves // 2) + ("╸" if halves % 2 else "")
    return filled, "─" * (width - len(filled))


class ProgressLine(Static):
    DEFAULT_CSS = "ProgressLine { height: 1; }"

    _view: RunView | None = None

    def show(self, view: RunView | None) -> None:
        self._view = view
        self.update(self._content(view) if view else "")

    def on_resize(self) -> None:
        """A run that has ended is shown once, maybe before there is a width."""
        self.show(self._view)

    def _content(self, view: RunView) -> Content:
        if view.phase is Phase.PREPARING and not len(view.curve):
            return self._preparing(view)
        total = view.total_steps
        tail = f" {view.step}/{total or '?'}"
        if total:
            tail += f"  {100 * view.step // total}%"
        tail += f"  {self._state(view)}"
        filled, rest = bar(view.step / total if total else 0.0, max(4, self.size.width - len(tail) - 1))
        return Content.assemble((filled, "$lora-voice"), (rest, "$faint"), tail)

    def _preparing(self, view: RunView) -> Content:
        if view.share is None:
            return Content.styled(f"{view.doing}…", "$quiet")
        tail = f" {100 * view.share:.0f}%  {view.doing}"
        filled, rest = bar(view.share, max(4, self.size.width - len(tail) - 1))
        return Content.assemble((filled, "$primary"), (rest, "$faint"), tail)

    @staticmethod
    def _state(view: RunView) -> str:
        if view.phase is Phase.TRAINING:
            return f"{words.clock(view.numbers.get('eta_s'))} left"
        if view.phase is Phase.PREPARING:
            return view.doing
        return "engine gone" if view.phase is Phase.LOST else str(view.phase.value)
