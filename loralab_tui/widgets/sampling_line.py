"""How the next answers are drawn, in a line above the prompt."""

from textual.widgets import Static

from loralab_tui.chat.sampling import DEFAULT, SamplingChoice
from loralab_tui.config import keymap

USUAL = f"temperature {DEFAULT.temperature:g} · top-p {DEFAULT.top_p:g} · seed {DEFAULT.seed}"


class SamplingLine(Static):
    """What differs from the usual way of drawing, or else the usual way; a click changes it.

    `-usual`: nothing differs, so that a short screen has the row for something else.
    """

    DEFAULT_CSS = """
    SamplingLine { height: 1; color: $quiet; padding: 0 1; text-wrap: nowrap; text-overflow: ellipsis; }
    SamplingLine:hover { text-style: underline; }
    """
    ALLOW_SELECT = False

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id, markup=False)
        self.tooltip = keymap.BY_ID["sampling"].tooltip

    def tell(self, choice: SamplingChoice) -> None:
        told = choice.told()
        self.set_class(not told, "-usual")
        self.update(f"{told or USUAL}  {keymap.name('sampling')}")

    async def on_click(self) -> None:
        await self.app.run_action("sampling")
