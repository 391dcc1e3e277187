"""Every action of the main screen, once: bindings, footer, help, palette and `/` commands are read from here.

Function keys act while someone types, so letters never have to; ctrl keys that terminals or tmux take are avoided.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from textual.binding import Binding


@dataclass(frozen=True)
class Action:
    """`id` is the app's method (`action_<id>`), the `/` command, and the name in a key file."""

    id: str
    key: str
    label: str
    tooltip: str
    group: str
    footer: bool = False

    @property
    def key_label(self) -> str:
        """The key as people write it: F2, ^q."""
        return self.key.replace("ctrl+", "^") if "+" in self.key else self.key.capitalize()


ACTIONS: tuple[Action, ...] = (
    Action("help", "f1", "Help", "What the keys do and how the screen works", "Program", footer=True),
    Action("train", "f2", "Train", "Start training; pause it; go on; resume after a stop", "Training"),
    Action("speaker", "f3", "Base/LoRA", "Who answers: the base model, the LoRA adapter, or both", "Chat", footer=True),
    Action("settings", "f4", "Settings", "Rank, steps, sequence length, batch, learning rate, base", "Setup"),
    Action("runs", "f5", "Runs", "Runs of this machine: watch, resume", "Training", footer=True),
    Action("model", "f6", "Model", "Choose the model: a directory or an id", "Setup"),
    Action("corpus", "f7", "Corpus", "Choose what to train on: a file, a folder, or pasted text", "Setup"),
    Action("export", "f8", "Export", "Copy the trained adapter to a place of your choice", "Training", footer=True),
    Action("stop", "f9", "Stop…", "Write a checkpoint and end the run (asks first)", "Training", footer=True),
    Action("other_pane", "ctrl+t", "Chat/Training", "Go to the other half of the screen", "Program"),
    Action("chat_mode", "f12", "Chat/Continue", "Answer as in a conversation, or go on writing your text", "Chat"),
    Action("clear", "ctrl+l", "Clear", "Start the conversation afresh", "Chat"),
    Action("theme", "ctrl+n", "Dark/Light", "Change between the dark and the light theme", "Program"),
    Action("quit", "ctrl+q", "Quit", "Leave; a run can be left running", "Program", footer=True),
)

BY_ID = {action.id: action for action in ACTIONS}


def bindings() -> list[Binding]:
    """The main screen's, so that dialogs mask them. Escape is apart: what it does depends on where one is.

    They come before a text field's own keys, which would take F6 and F7 for selecting.
    """
    return [
        Binding(a.key, f"app.{a.id}", a.label, show=False, priority=True, tooltip=a.tooltip, id=a.id) for a in ACTIONS
    ]


def groups() -> Iterator[tuple[str, list[Action]]]:
    """Actions by group, in the order a newcomer needs them."""
    for name in ("Setup", "Training", "Chat", "Program"):
        yield name, [action for action in ACTIONS if action.group == name]
