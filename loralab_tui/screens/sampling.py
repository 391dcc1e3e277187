"""How the next answers are drawn, and what the model is told before a conversation."""

from dataclasses import fields

from textual import on
from textual.app import ComposeResult
from textual.containers import Grid, HorizontalGroup, Vertical
from textual.widgets import Button, Input, Label, Static, TextArea

from loralab_core.errors import BadInput
from loralab_tui.chat.sampling import DEFAULT, SamplingChoice, read_setting, shown
from loralab_tui.screens.dialog import Dialog

FIELDS = (
    ("temperature", "Temperature", "0 is greedy: the likeliest word each time"),
    ("top_p", "Top-p", "the share of likely words to draw from"),
    ("top_k", "Top-k", "of so many likely words only; 0: of all"),
    ("min_p", "Min-p", "0.05: none 20 times rarer than the best"),
    ("repetition", "Repetition", "1.1: what was said before becomes rarer"),
    ("seed", "Seed", "a number repeats an answer; any does not"),
    ("length", "Length", "most tokens of an answer"),
    ("stop", "Stop at", r"ends an answer; \n: new line, ||: or"),
)
NAMES = [each.name for each in fields(DEFAULT)]


class SamplingDialog(Dialog[SamplingChoice]):
    """Dismissed with the choice; an empty field is the default, which stands in it."""

    CSS_PATH = ["dialog.tcss", "sampling.tcss"]

    def __init__(self, choice: SamplingChoice) -> None:
        super().__init__()
        self.system = TextArea(
            choice.system, tab_behavior="focus", soft_wrap=True, classes="first", placeholder="none", id="system"
        )
        self.fields = {name: _field(name, choice) for name, _, _ in FIELDS}

    def compose(self) -> ComposeResult:
        with Vertical(classes="dialog") as box:
            box.border_title = "How it answers"
            box.border_subtitle = "Enter: keep · Tab: next field · Esc: back"
            yield Static("System prompt: what it is told before a chat (not in Continue)", id="system-prompt")
            yield self.system
            with Grid(id="fields"):
                for name, label, meaning in FIELDS:
                    yield Label(label)
                    yield self.fields[name]
                    yield Label(meaning, classes="meaning")
            yield Static(id="said", markup=False)
            with HorizontalGroup(classes="buttons"):
                yield Button("Defaults", id="defaults")
                yield Button("Keep", id="keep")

    def on_mount(self) -> None:
        self._read()

    def _read(self) -> SamplingChoice | None:
        """The form as a choice; None when something does not fit, which is said."""
        texts = {name: field.value.strip() for name, field in self.fields.items()}
        texts["system"] = self.system.text.strip()
        try:
            choice = SamplingChoice(
                **{each.name: read_setting(each.name, texts[each.name]) for each in fields(DEFAULT)}
            )
        except BadInput as error:
            self.say(str(error), wrong=True)
            return None
        self.say(f"From the next answer on: {choice.told() or 'the usual settings'}.")
        return choice

    @on(Input.Changed)
    @on(TextArea.Changed)
    def _changed(self) -> None:
        self._read()

    @on(Input.Submitted)
    @on(Button.Pressed, "#keep")
    def _keep(self) -> None:
        if (choice := self._read()) is not None:
            self.dismiss(choice)

    @on(Button.Pressed, "#defaults")
    def _defaults(self) -> None:
        self.system.text = ""
        for field in self.fields.values():
            field.value = ""


def _field(name: str, choice: SamplingChoice) -> Input:
    """Empty where the choice is the usual one, which then stands in it."""
    given, usual = shown(getattr(choice, name)), shown(getattr(DEFAULT, name))
    return Input("" if given == usual else given, placeholder=usual or "nothing", id=name, compact=True)
