"""F2 on a run that has ended: more steps on it or a new one; after a failure, what would help."""

from dataclasses import dataclass

from textual import on
from textual.app import ComposeResult
from textual.containers import HorizontalGroup, Vertical
from textual.widgets import Button, Input, OptionList, Static

from loralab_tui.plan import Plan
from loralab_tui.runs.view import RunView
from loralab_tui.screens.dialog import Dialog
from loralab_tui.states.trouble import Trouble
from loralab_tui.widgets.choices import Choices


@dataclass(frozen=True)
class Onwards:
    """`steps` in all for the run on screen; None asks for a new run."""

    steps: int | None


class TrainOn(Dialog[Onwards]):
    """`sentence`: what a new run would do."""

    BINDINGS = [("down", "app.focus_next"), ("up", "app.focus_previous")]

    def __init__(self, run: RunView, sentence: str) -> None:
        super().__init__()
        self.run_view, self.sentence = run, sentence

    def compose(self) -> ComposeResult:
        run = self.run_view
        with Vertical(classes="dialog") as box:
            box.border_title = "Train on"
            box.border_subtitle = "Enter: go on with this run · Tab: next · Esc: back"
            yield Static(f"{run.name} has trained {run.step:,} steps. How many more?", classes="lead", markup=False)
            yield Input(str(run.step), classes="first", id="more")
            yield Static(id="said", markup=False)
            yield Static(f"\nA new run begins at step 1 and {self.sentence}", classes="lead", markup=False)
            with HorizontalGroup(classes="buttons"):
                yield Button("More steps on this run", id="more-steps")
                yield Button("A new run", id="new")

    def on_mount(self) -> None:
        self._steps()

    def _steps(self) -> int | None:
        """Steps in all, said as a sentence; None for what is no number of steps."""
        text = self.query_one(Input).value.strip().replace(",", "")
        if not text.isdecimal() or int(text) < 1:
            self.say(f"{text or 'nothing'} is no number of steps: give a whole number, 1 or more", wrong=True)
            return None
        steps = self.run_view.step + int(text)
        self.say(f"It goes on to step {steps:,}, with its settings and on its curve.")
        return steps

    @on(Input.Changed)
    def _typed(self) -> None:
        self._steps()

    @on(Input.Submitted)
    @on(Button.Pressed, "#more-steps")
    def _more(self) -> None:
        if (steps := self._steps()) is not None:
            self.dismiss(Onwards(steps))

    @on(Button.Pressed, "#new")
    def _new(self) -> None:
        self.dismiss(Onwards(None))


class Remedies(Dialog[Plan]):
    """Dismissed with the plan to start again with."""

    CSS_PATH = ["dialog.tcss", "pickers.tcss"]

    def __init__(self, what: Trouble, plan: Plan) -> None:
        super().__init__()
        every = {name: value for remedy in what.remedies for name, value in remedy.settings.items()}
        self.what = what
        self.choices = [(remedy.label, plan.changed(**remedy.settings)) for remedy in what.remedies]
        if len(what.remedies) > 1:
            self.choices.append(("All of these", plan.changed(**every)))
        self.choices.append(("The same again", plan))

    def compose(self) -> ComposeResult:
        with Vertical(classes="dialog") as box:
            box.border_title = self.what.title
            box.border_subtitle = "Enter: start again with it · Esc: back"
            yield Static("Start again with…", classes="lead")
            yield Choices(*(label for label, _ in self.choices), classes="first", compact=True, markup=False)

    @on(OptionList.OptionSelected)
    def _picked(self, event: OptionList.OptionSelected) -> None:
        self.dismiss(self.choices[event.option_index][1])
