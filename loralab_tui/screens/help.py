"""F1: what the keys do, from the one registry, and the few things worth knowing."""

from textual.app import ComposeResult
from textual.containers import VerticalScroll
from textual.content import Content
from textual.widgets import Static

from loralab_tui import keymap
from loralab_tui.screens.dialog import Dialog

NOTES = (
    "Letters only ever type, wherever you are. Enter sends; Alt+Enter begins a new line; ↑ brings back what you sent.",
    "Every key above is also a command: type /train or /export in the prompt, or search them all with ^p.",
    "Esc stops an answer, then leaves the prompt (your draft stays), then goes back. Tab goes to the next pane.",
    "Base is the model as it was; LoRA is the same model with the adapter you train, and says from which step it "
    "answered. Each remembers only its own conversation.",
    "To select text with the mouse hold Shift (Option on a Mac).",
    "Training does not need this window: close the terminal and it goes on. `loralab-tui --attach last` comes back.",
)


class Help(Dialog[None]):
    def compose(self) -> ComposeResult:
        with VerticalScroll(classes="dialog first") as box:
            box.border_title = "LoRA Lab: keys"
            box.border_subtitle = "Esc: back"
            for group, actions in keymap.groups():
                yield Static(Content.styled(group, "bold $primary"))
                lines = [
                    Content.assemble((f"  {action.key_label:<5}", "bold"), f"{action.tooltip}") for action in actions
                ]
                yield Static(Content("\n").join(lines), classes="lead")
            yield Static("\n\n".join(NOTES), markup=False)
