"""The bottom line: at most six keys on the left, the machine on the right."""

from textual.app import ComposeResult
from textual.containers import HorizontalGroup
from textual.content import Content
from textual.widgets import Static

from loralab_tui.config import keymap
from loralab_tui.studio import Studio


class KeyHint(Static):
    ALLOW_SELECT = False

    def __init__(self, action: keymap.Action) -> None:
        super().__init__(Content.assemble((action.key_label, "bold $primary"), " ", action.label))
        self.action = action
        self.tooltip = action.tooltip

    async def on_click(self) -> None:
        await self.app.run_action(self.action.id)


class Footer(HorizontalGroup):
    DEFAULT_CSS = """
    Footer { height: 1; background: $panel; }
    Footer > KeyHint { width: auto; padding: 0 1; text-wrap: nowrap; }
    Footer > KeyHint:hover { background: $primary 25%; }
    Footer > KeyHint.idle { text-opacity: 45%; }
    Footer > #machine { width: 1fr; text-align: right; padding: 0 1; color: $quiet; text-wrap: nowrap; }
    """

    def __init__(self) -> None:
        super().__init__()
        self.machine = Static("", id="machine", markup=False)
        self._shown = ""

    def compose(self) -> ComposeResult:
        for action in keymap.ACTIONS:
            if action.footer:
                yield KeyHint(action)
        yield self.machine

    def offer(self, studio: Studio) -> None:
        """Keys that have nothing to act on are faint; pressed all the same, they say why."""
        idle = {
            "speaker": bool(studio.lora_missing),
            "export": studio.run is None or not studio.run.step,
            "stop": not studio.live and not studio.opening,
        }
        for hint in self.query(KeyHint):
            hint.set_class(idle.get(hint.action.id, False), "idle")

    @property
    def room(self) -> int:
        """Cells there are for the machine."""
        return self.machine.content_size.width

    def show(self, machine: str) -> None:
        if machine != self._shown:  # a widget that is told the same again is written again
            self._shown = machine
            self.machine.update(machine)
