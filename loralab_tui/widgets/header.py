"""The top line: what is chosen, each with the key that changes it, and the one big action."""

from textual.app import ComposeResult
from textual.containers import HorizontalGroup
from textual.content import Content
from textual.widgets import Static

from loralab_tui import words
from loralab_tui.config import keymap


class Chip(Static):
    """A clickable `F6 value`; runs the action it stands for."""

    ALLOW_SELECT = False

    def __init__(self, action_id: str) -> None:
        super().__init__(id=f"chip-{action_id}")
        self.action = keymap.BY_ID[action_id]
        self.tooltip = f"{self.action.label}: {self.action.tooltip}"

    def show(self, text: str, chosen: bool = True) -> None:
        self.set_class(not chosen, "-empty")
        self.update(Content.assemble((self.action.key_label, "$quiet"), " ", text))

    async def on_click(self) -> None:
        await self.app.run_action(self.action.id)


class Menu(Static):
    """What has no other place to click is in the palette."""

    ALLOW_SELECT = False

    def __init__(self) -> None:
        super().__init__("≡", id="menu")
        self.action = keymap.BY_ID["palette"]
        self.tooltip = f"{self.action.label} ({self.action.key_label}): everything there is, by name"

    async def on_click(self) -> None:
        await self.app.run_action(self.action.id)


class Header(HorizontalGroup):
    DEFAULT_CSS = """
    Header { height: 1; background: $panel; }
    Header > Chip { width: auto; padding: 0 1; margin-right: 1; text-wrap: nowrap; }
    Header > Chip:hover { background: $primary 25%; }
    Header > Chip.-empty { color: $warning; text-style: italic; }
    Header > #menu { width: 3; padding: 0 1; color: $quiet; }
    Header > #menu:hover { background: $primary 25%; }
    Header > #name { width: auto; padding: 0 1 0 0; text-style: bold; color: $lora-voice; }
    Header > #space { width: 1fr; }
    Header > #chip-train { background: $primary; color: $background; text-style: bold; margin: 0; }
    Header > #chip-train.-idle { background: $panel; color: $quiet; text-style: none; }
    """

    def __init__(self) -> None:
        super().__init__()
        self.menu, self.brand = Menu(), Static("LoRA Lab", id="name")
        self.model, self.corpus, self.plan = Chip("model"), Chip("corpus"), Chip("settings")
        self.train = Chip("train")

    def compose(self) -> ComposeResult:
        yield from (self.menu, self.brand)
        yield from (self.model, self.corpus, self.plan)
        yield Static("", id="space")
        yield self.train

    def show(self, model: str | None, corpus: str | None, plan: str, train: str, ready: bool) -> None:
        """`train` names what F2 does now; `ready` is whether it can."""
        model_text, corpus_text = fit(
            model or "choose a model", corpus or "choose a corpus", self._room(len(plan) + len(train))
        )
        self.model.show(model_text, bool(model))
        self.corpus.show(corpus_text, bool(corpus))
        self.plan.show(plan)
        self.train.update(f"{self.train.action.key_label} {train}")
        self.train.set_class(not ready, "-idle")

    def _room(self, taken: int) -> int:
        """Cells for the two names: the rest is keys, gaps, and `taken`."""
        brand = 9 if self.brand.display else 0
        return max(16, self.size.width - 3 - brand - 3 * 6 - 5 - taken)


def fit(model: str, corpus: str, room: int) -> tuple[str, str]:
    """Both names in `room` cells; what the shorter one leaves goes to the other."""
    half = room // 2
    if len(model) <= half:
        return model, words.shorten(corpus, room - len(model))
    if len(corpus) <= half:
        return words.shorten(model, room - len(corpus)), corpus
    return words.shorten(model, half), words.shorten(corpus, half)
