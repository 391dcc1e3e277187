"""Every action, once: bindings, footer, help, palette and `/` commands are read from here.

Function keys act while someone types, so letters never have to; ctrl keys that terminals or tmux take are avoided.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from textual.binding import Binding


@dataclass(frozen=True)
class Action:
    """`id` is the app's method (`action_<id>`), the `/` command, and the name in a key file.

    `key` is the default: one key, or several with commas between them. `screen`: whose method it is instead, and the
    table of the key file it stands in.
    """

    id: str
    key: str
    label: str
    tooltip: str
    group: str
    footer: bool = False
    screen: str = ""

    @property
    def full_id(self) -> str:
        """Also apart from the actions of other screens."""
        return f"{self.screen}.{self.id}" if self.screen else self.id

    @property
    def defaults(self) -> tuple[str, ...]:
        return tuple(self.key.split(","))

    @property
    def keys(self) -> tuple[str, ...]:
        """Those that act now, after the user's key file."""
        return _changed.get(self.full_id) or self.defaults

    @property
    def key_label(self) -> str:
        """The first key as people write it: F2, ^q."""
        return written(self.keys[0])


SIGNS = {"space": "Space", "underscore": "_", "backslash": "\\", "up": "↑", "enter": "Enter", "delete": "Del"}


def written(key: str) -> str:
    """A key as people write it: F2, ^q, Alt+x, Shift+F5."""
    *held, last = key.replace("@", "space").split("+")
    last = SIGNS.get(last, last)
    last = last.upper() if last[0] == "f" and last[1:].isdigit() else last
    return "".join("^" if name == "ctrl" else f"{name.capitalize()}+" for name in held) + last


_changed: dict[str, tuple[str, ...]] = {}


def use(changed: Mapping[str, tuple[str, ...]]) -> None:
    """Take a user's keys for some actions; the others have their defaults. Every name of a key follows."""
    _changed.clear()
    _changed.update(changed)


def name(action: str) -> str:
    """The key of an action as sentences name it, so that they stay true when a user moves it."""
    return BY_ID[action].key_label


ACTIONS: tuple[Action, ...] = (
    Action("help", "f1", "Help", "What the keys do and how the screen works", "Program", footer=True),
    Action("train", "f2", "Train", "Start training; pause it; go on; resume after a stop", "Training"),
    Action("speaker", "f3", "Base/LoRA", "Who answers: the base model, the LoRA adapter, or both", "Chat", footer=True),
    Action("settings", "f4", "Settings", "Rank, steps, sequence length, batch, learning rate, base", "Setup"),
    Action("runs", "f5", "Runs", "Runs of this machine: watch, resume, compare, delete", "Training", footer=True),
    Action("model", "f6", "Model", "Choose the model: a directory, a .gguf file or an id", "Setup"),
    Action("corpus", "f7", "Corpus", "Choose what to train on: a file, a folder, or pasted text", "Setup"),
    Action("export", "f8", "Export", "Copy the trained adapter to a place of your choice", "Training", footer=True),
    Action("stop", "f9", "Stop…", "End the run with a checkpoint (asks first); cancel loading", "Training", True),
    Action("zoom", "alt+z", "Zoom", "The newest quarter of the curve, or all of it", "Training"),
    Action("log_scale", "alt+l", "Log/linear", "The height of a curve: equal ratios, or equal differences", "Training"),
    Action("data", "f10", "Data", "What the model will see: samples, what is trained on, lengths", "Setup"),
    Action("other_pane", "ctrl+t", "Chat/Training", "Go to the other half of the screen", "Program"),
    Action("chat_mode", "f12", "Chat/Continue", "Answer as in a conversation, or go on writing your text", "Chat"),
    Action("again", "ctrl+r", "Again", "Ask the last question again, with another seed", "Chat"),
    Action("more", "alt+m", "More", "Go on with an answer that was cut, or that you stopped", "Chat"),
    Action("edit", "ctrl+up", "Edit", "Take your last question back into the prompt, to send it changed", "Chat"),
    Action("copy", "ctrl+y", "Copy", "Copy the last answer, or the message you are on", "Chat"),
    Action("adapter", "alt+a", "Adapter…", "Let LoRA answer with an adapter from a directory", "Chat"),
    Action("clear", "ctrl+l", "Clear", "Start the conversation afresh; pressed again it comes back", "Chat"),
    Action("undo", "ctrl+underscore", "Undo", "Bring back what was cleared or edited away; take More back", "Chat"),
    Action("sampling", "ctrl+g", "Sampling", "System prompt, temperature, repetition, stop texts, length", "Chat"),
    Action("prompts", "ctrl+s", "Three prompts", "The same three prompts, answered at every checkpoint", "Chat"),
    Action("jump", "ctrl+o", "Jump", "Labels on everything that can be clicked; a letter goes there", "Program"),
    Action("palette", "ctrl+p,ctrl+@,ctrl+space", "Menu", "Search everything by name", "Program"),
    Action("theme", "ctrl+n", "Dark/Light", "Change between the dark and the light theme", "Program"),
    Action("themes", "alt+n", "Themes…", "All themes, with a look at each; yours as well", "Program"),
    Action("quit", "ctrl+q", "Quit", "Leave; a run can be left running", "Program", footer=True),
)

RUNS: tuple[Action, ...] = (
    Action("open", "enter", "Open", "Show the run, and follow it if it is being trained", "Runs", True, "runs_screen"),
    Action("resume", "f2", "Resume", "Go on from the last checkpoint", "Runs", True, "runs_screen"),
    Action("compare", "f3", "Compare", "Two curves over each other: the marked ones", "Runs", True, "runs_screen"),
    Action("extend", "f4", "Extend", "Train for more steps than were planned", "Runs", True, "runs_screen"),
    Action("rename", "f6", "Rename", "Give the run another name", "Runs", True, "runs_screen"),
    Action(
        "delete", "delete,f9", "Delete", "Remove the run and all its files (asks first)", "Runs", True, "runs_screen"
    ),
    Action("mark", "space", "Mark", "Mark the run for comparing", "Runs", True, "runs_screen"),
    Action("filter", "ctrl+f", "Filter", "Only the runs that hold what is typed", "Runs", False, "runs_screen"),
)
COMPARE: tuple[Action, ...] = (
    Action("turn", "f4", "Steps/tokens", "What the curves are drawn over", "Two runs", True, "compare_screen"),
    Action("swap", "f5", "Swap A and B", "Name them the other way round", "Two runs", True, "compare_screen"),
)
"""The keys of other screens, which are those screens' own methods."""

BESIDE_RUNS = ("help", "palette", "theme", "jump", "quit", "log_scale", "runs")
"""Actions of the screen below that the one above has too; the last one leaves it."""
BESIDE_COMPARE = ("help", "palette", "theme", "quit", "log_scale", "runs_screen.compare")

BY_ID = {action.full_id: action for action in (*ACTIONS, *RUNS, *COMPARE)}


@dataclass(frozen=True)
class Command:
    """What can be typed behind a `/`. `argument` is how it is named to the user; empty where there is none."""

    word: str
    argument: str
    tooltip: str


COMMANDS: tuple[Command, ...] = (
    Command("base", "", "The base model answers"),
    Command("lora", "", "The LoRA adapter answers"),
    Command("both", "", "Both answer, one after the other"),
    Command("system", "TEXT", "What the model is told before the conversation"),
    Command("temp", "0.7", "How freely words are drawn; 0 is greedy"),
    Command("top-p", "0.95", "The share of likely words to draw from"),
    Command("top-k", "40", "Of so many likely words only; 0: of all"),
    Command("min-p", "0.05", "None that is so much rarer than the likeliest"),
    Command("repetition", "1.1", "What was said before becomes rarer; 1: off"),
    Command("seed", "3", "The same gives the same answer; `any`: never"),
    Command("length", "200", "The most tokens of an answer"),
    Command("stop-at", "TEXT", "A text that ends an answer; || between several"),
    *(Command(action.id, "", action.tooltip) for action in ACTIONS),
)
"""Every action by its id, and what is set by typing."""


def command(text: str) -> tuple[str, str] | None:
    """Word and argument of a typed `/word argument`; None for what is no command in form (a path, a sentence)."""
    word, _, argument = text.removeprefix("/").replace("\n", " \n", 1).partition(" ")
    looks = text.startswith("/") and word and all(sign.isalnum() or sign in "-_" for sign in word)
    return (word.lower(), argument.strip()) if looks else None


def known(word: str) -> bool:
    return any(one.word == word for one in COMMANDS)


def matching(text: str) -> list[Command]:
    """Commands whose word begins with what is typed behind the `/`."""
    typed = text.removeprefix("/").lower()
    return [one for one in COMMANDS if one.word.startswith(typed)] if text.startswith("/") else []


def bindings() -> list[Binding]:
    """The main screen's, so that dialogs mask them. Escape is apart: what it does depends on where one is.

    They come before a text field's own keys, which would take F6 and F7 for selecting.
    """
    return [
        Binding(a.key, f"app.{a.id}", a.label, show=False, priority=True, tooltip=a.tooltip, id=a.id) for a in ACTIONS
    ]


def overlay() -> dict[str, str]:
    """What differs from `bindings`, as Textual takes it."""
    return {action: ",".join(keys) for action, keys in _changed.items()}


def groups() -> Iterator[tuple[str, list[Action]]]:
    """Actions by group, in the order a newcomer needs them."""
    for name in ("Setup", "Training", "Chat", "Program"):
        yield name, [action for action in ACTIONS if action.group == name]
    for own in (RUNS, COMPARE):
        yield own[0].group, list(own)
