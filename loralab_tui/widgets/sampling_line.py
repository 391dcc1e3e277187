"""How the next answers are drawn, in a line above the prompt."""

from textual.widgets import Static

from loralab_tui.chat.sampling import SamplingChoice
from loralab_tui.config import keymap


class SamplingLine(Static):
    """What differs from the usual way of drawing; a click changes it."""

    DEFAULT_CSS = """
    SamplingLine {
        height: 1; color: $quiet; display: none; padding: 0 1; text-wrap: nowrap; text-overflow: ellipsis;
    }
    """
    ALLOW_SELECT = False

    def tell(self, choice: SamplingChoice) -> None:
        told = choice.told()
        self.display = bool(told)
        self.update(f"{told}  {keymap.name('sampling')}")

    async def on_click(self) -> None:
        await self.app.run_action("sampling")
