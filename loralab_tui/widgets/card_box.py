"""The state in words, when there is something to say or to press."""

from textual.content import Content
from textual.widgets import Static

from loralab_tui.states.run_cards import Card

FRAME = 3  # cells of border and padding
SIGNS = {"good": "✓ ", "bad": "✕ ", "plain": ""}


class CardBox(Static):
    DEFAULT_CSS = """
    CardBox { height: auto; padding: 0 1; margin-bottom: 1; border-left: outer $primary; background: $panel; }
    CardBox.good { border-left: outer $success; }
    CardBox.bad { border-left: outer $error; }
    """

    def show(self, shown: Card | None) -> None:
        self.display = shown is not None
        if shown is None:
            return
        self.set_classes(shown.tone)
        width = max(20, self.container_size.width - FRAME)
        lines = [line.truncate(width, ellipsis=True) for line in shown.lines]
        above, _, below = shown.text.rpartition("\n") if lines else (shown.text, "", "")
        parts = [Content.styled(f"{SIGNS[shown.tone]}{shown.title}", "bold"), Content(above), *lines, Content(below)]
        self.update(Content("\n").join(part for part in parts if part.plain))

    async def on_click(self) -> None:
        """What was read goes away, if it is something that does."""
        await self.app.run_action("away_seen")
