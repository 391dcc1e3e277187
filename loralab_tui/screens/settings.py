"""F4: the settings of the next run. Empty means the default, which stands in the field."""

from textual import on
from textual.app import ComposeResult
from textual.containers import Grid, HorizontalGroup, Vertical
from textual.widgets import Button, Input, Label, Select, Static

from loralab_core.errors import BadInput
from loralab_tui import words
from loralab_tui.plan import DEFAULTS, Plan, plan_from
from loralab_tui.screens.dialog import Dialog

FIELDS = (
    ("rank", "Rank", "how much the adapter can learn"),
    ("lr", "Learning rate", "how large each step is"),
    ("epochs", "Epochs", "times through the corpus"),
    ("steps", "Steps", "instead of epochs"),
    ("seq_len", "Sequence length", "tokens seen at once"),
    ("batch", "Batch", "sequences a step"),
    ("name", "Name", "to find the run again"),
)
BASES = ("auto", "fp32", "bf16")


class Settings(Dialog[Plan]):
    CSS_PATH = ["dialog.tcss", "settings.tcss"]

    def __init__(self, plan: Plan, corpus: str, note: str) -> None:
        super().__init__()
        self.plan, self.corpus, self.note = plan, corpus, note

    def compose(self) -> ComposeResult:
        with Vertical(classes="dialog") as box:
            box.border_title = "How to train"
            box.border_subtitle = "Enter: keep · Tab: next field · Esc: back"
            with Grid(id="fields"):
                for number, (name, label, meaning) in enumerate(FIELDS):
                    yield Label(label)
                    given = self.plan.asked_dict.get(name)
                    first = "first" if number == 0 else ""
                    value = "" if given is None else _shown(name, given)
                    yield Input(value, placeholder=default(name), id=name, classes=first, compact=True)
                    yield Label(meaning, classes="meaning")
                yield Label("Base")
                yield Select(
                    [(base, base) for base in BASES],
                    value=self.plan["base"],
                    id="base",
                    compact=True,
                    allow_blank=False,
                )
                yield Label("precision of the frozen model", classes="meaning")
            yield Static(id="said", markup=False)
            with HorizontalGroup(classes="buttons"):
                yield Button("Defaults", id="defaults")
                yield Button("Keep", id="keep")

    def on_mount(self) -> None:
        self._read()

    def _read(self) -> Plan | None:
        """The form as a plan, with its sentence shown; None when something does not fit, which is said instead."""
        texts = {field.id or "": field.value for field in self.query(Input)}
        texts["base"] = str(self.query_one(Select).value)
        try:
            plan = plan_from(texts)
        except BadInput as error:
            self.say(str(error), wrong=True)
            return None
        self.say(f"F2 then {plan.sentence(self.corpus, self.note)}")
        return plan

    @on(Input.Changed)
    @on(Select.Changed)
    def _changed(self) -> None:
        self._read()

    @on(Input.Submitted)
    @on(Button.Pressed, "#keep")
    def _keep(self) -> None:
        if (plan := self._read()) is not None:
            self.dismiss(plan)

    @on(Button.Pressed, "#defaults")
    def _defaults(self) -> None:
        for field in self.query(Input):
            field.value = ""
        self.query_one(Select).value = "auto"


def default(name: str) -> str:
    """What an empty field means."""
    if name == "epochs":
        return "1"
    if name == "seq_len":
        return "auto"
    value = DEFAULTS[name]
    return "–" if value is None else _shown(name, value)


def _shown(name: str, value: object) -> str:
    return words.rate(float(str(value))) if name == "lr" else f"{value:g}" if isinstance(value, float) else str(value)
