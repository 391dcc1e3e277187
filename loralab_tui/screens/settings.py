"""F4: the settings of the next run. Empty means the default, which stands in the field."""

import asyncio
from pathlib import Path
from typing import Any, get_args

from rich.text import Text
from textual import on, work
from textual.app import ComposeResult
from textual.containers import Grid, HorizontalGroup, Vertical
from textual.events import DescendantFocus
from textual.widgets import Button, Input, Label, Select, Static

from loralab_core.errors import BadInput
from loralab_core.planning.presets import Preset, list_presets
from loralab_core.runs.numerics import Base, Compute
from loralab_tui import words
from loralab_tui.config import keymap
from loralab_tui.plan import ADAPTER_ONLY, DEFAULTS, OPEN, Plan, plan_from
from loralab_tui.runs import measured as history
from loralab_tui.screens.dialog import Dialog
from loralab_tui.studio import Corpus

Field = Input | Select[str]
OWN = "own"  # the preset that is none
PRESET = "A starting point: fills the fields, every one can be changed after."
ABOUT = {
    "preset": PRESET,
    "mode": "Adapter: small and new beside the model. Full: every weight of the model itself; four times the memory.",
    "base": "Precision of the model itself: auto is fp32, or the 16 bits a chip is good at; nf4 is a quarter of those.",
    "compute": "How quantised weights are multiplied: w4a8 rounds activations to 8 bits, w4a8-grad only gradients.",
    "rank": "How much the adapter can learn; 8 for a manner, 32 for a subject.",
    "alpha": "How strongly the adapter counts; usually twice the rank.",
    "targets": "Which projections get an adapter: all learns most, attention takes least memory.",
    "lr": "How large each step is. Too high and the loss jumps; too low and nothing is learned.",
    "epochs": "How often it goes through the corpus.",
    "steps": "How many steps; counts instead of epochs.",
    "seq_len": "Tokens the model sees at once. Longer windows take more memory.",
    "batch": "Sequences a step learns from.",
    "micro_batch": "Sequences computed at once, a step in several passes: smaller takes less memory.",
    "shrink_micro_batch": "Halve the micro-batch when memory runs out, and go on: auto does so where none is given.",
    "checkpoint_activations": "Compute activations twice instead of keeping them: less memory, a third more time.",
    "name": "To find the run again.",
}
CHOICES: dict[str, tuple[tuple[str, str], ...]] = {
    "mode": (("adapter", "adapter"), ("full", "full")),
    "base": tuple((name, name) for name in get_args(Base)),
    "compute": tuple((name, name) for name in get_args(Compute)),
    "targets": (("all", "all"), ("attention", "attention"), ("mlp", "mlp")),
    "shrink_micro_batch": (("auto", OPEN), ("halve it", "True"), ("fail", "False")),
    "checkpoint_activations": (("keep: faster", "False"), ("twice: lean", "True")),
}
ROWS = (
    ("preset", "Start from"),
    ("mode", "Mode"),
    ("rank", "Rank"),
    ("base", "Base"),
    ("alpha", "Alpha"),
    ("targets", "Targets"),
    ("lr", "Learning rate"),
    ("epochs", "Epochs"),
    ("batch", "Batch"),
    ("steps", "Steps"),
    ("micro_batch", "Micro-batch"),
    ("seq_len", "Window"),
    ("checkpoint_activations", "Activations"),
    ("compute", "Compute"),
    ("shrink_micro_batch", "Short memory"),
    ("name", "Name"),
)


class Settings(Dialog[Plan]):
    """Two fields a line. `model`: whose earlier runs tell how long it will take."""

    CSS_PATH = ["dialog.tcss", "settings.tcss"]

    def __init__(self, plan: Plan, corpus: Corpus | None, model: str | None = None) -> None:
        super().__init__()
        self.plan, self.model = plan, model
        self.corpus = corpus or Corpus("the corpus")
        self.presets = {preset.name: preset for preset in list_presets()}
        self.kept = {name: value for name, value in plan.asked if name not in dict(ROWS)}
        self.forecast = ""
        self.fields = {name: self._field(name) for name, _ in ROWS}

    def compose(self) -> ComposeResult:
        with Vertical(classes="dialog") as box:
            box.border_title = "How to train"
            box.border_subtitle = "Enter: keep · Tab: next field · Esc: back"
            with Grid(id="fields"):
                for name, label in ROWS:
                    yield Label(label)
                    yield self.fields[name]
            yield Static(ABOUT["rank"], id="about", markup=False)
            yield Static(id="said", markup=False)
            with HorizontalGroup(classes="buttons"):
                yield Button("Defaults", id="defaults")
                yield Button("Keep", id="keep")

    def _field(self, name: str) -> Field:
        if name == "preset":
            names = [("your own", OWN), *((preset, preset) for preset in self.presets)]
            return Select(names, value=OWN, id=name, compact=True, allow_blank=False)
        if name in CHOICES:
            own = str(self.plan[name])
            known = [(Text(label), value) for label, value in CHOICES[name]]
            known += [] if own in dict(CHOICES[name]).values() else [(Text(own), own)]
            return Select(known, value=own, id=name, compact=True, allow_blank=False)
        given = self.plan.asked_dict.get(name)
        value = "" if given is None else _shown(name, given)
        return Input(value, placeholder=default(name), id=name, classes="first" if name == "rank" else "", compact=True)

    def on_mount(self) -> None:
        self._read()

    def _texts(self) -> dict[str, str]:
        return {name: str(field.value) for name, field in self.fields.items() if name != "preset"}

    def _read(self) -> Plan | None:
        """The form as a plan, with its sentence shown; None when something does not fit, which is said instead."""
        texts = self._texts()
        for name in ADAPTER_ONLY:
            self.fields[name].disabled = texts["mode"] == "full"
        if texts["mode"] == "full":
            texts = {name: text for name, text in texts.items() if name not in ADAPTER_ONLY}
        try:
            plan = plan_from(texts, self.kept)
        except BadInput as error:
            self.say(str(error), wrong=True)
            return None
        self._say_plan(plan)
        self._measure(plan)
        return plan

    def _say_plan(self, plan: Plan) -> None:
        self.say(
            f"{keymap.name('train')} then {plan.sentence(self.corpus.name, self.corpus.note)} {self.forecast}".rstrip()
        )

    @work(exclusive=True, group="forecast")
    async def _measure(self, plan: Plan) -> None:
        if self.model is None or not Path(self.model).exists():
            return
        known = await asyncio.to_thread(history.measured, self.model, self.corpus.places, plan)
        self.forecast = history.forecast(plan, history.window_of(self.model, plan), known)
        self._say_plan(plan)

    @on(DescendantFocus)
    def _explain(self, event: DescendantFocus) -> None:
        if about := ABOUT.get(event.widget.id or ""):
            self.query_one("#about", Static).update(about)

    @on(Select.Changed, "#preset")
    def _fill(self, event: Select.Changed) -> None:
        event.stop()
        preset = self.presets.get(str(event.value))
        if preset is not None:
            self._use(preset)
            self.query_one("#about", Static).update(f"{preset.name}: {preset.about}.")

    def _use(self, preset: Preset) -> None:
        """Its settings, and the defaults for what it does not name; the name of the run stays."""
        self.kept = {key: value for key, value in preset.settings.items() if key not in dict(ROWS)}
        for name, field in self.fields.items():
            if isinstance(field, Input) and name != "name":
                given = preset.settings.get(name)
                field.value = "" if given is None else _shown(name, given)
            if isinstance(field, Select) and name not in ("preset", "base"):
                field.value = str(preset.settings.get(name, DEFAULTS[name]))

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
        self._use(Preset("", "", {}))
        self.query_one("#preset", Select).value = OWN
        self.query_one("#base", Select).value = "auto"


def default(name: str) -> str:
    """What an empty field means."""
    if name == "epochs":
        return "1"
    if name in ("seq_len", "micro_batch"):
        return "auto"
    value = DEFAULTS[name]
    return "–" if value is None else _shown(name, value)


def _shown(name: str, value: Any) -> str:
    """As short as it can be read back: what is rounded here would be trained with."""
    if name != "lr" and not isinstance(value, float):
        return str(value)
    number = float(value)
    short = words.rate(number) if name == "lr" else f"{number:g}"
    return short if float(short) == number else repr(number)
