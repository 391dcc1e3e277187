"""F1: what the keys do, from the one registry, and the few things worth knowing."""

import os
from collections.abc import Iterator, Mapping

from rich.table import Table
from rich.text import Text
from textual.app import ComposeResult
from textual.containers import VerticalScroll
from textual.content import Content
from textual.widgets import Static

from loralab_tui.config import keymap, keys_file
from loralab_tui.screens.dialog import Dialog
from loralab_tui.terminal import environment as terminal

KEYS_WIDTH = 10
COMMAND_WIDTH = 12
PROMPT = (
    ("Enter", "Send"),
    ("Alt+Enter", "A new line (Shift+Enter too, where the terminal tells them apart)"),
    ("↑ ↓", "What you sent before"),
    ("/word", "Any action by name: /train, /export, /quit"),
    ("Esc", "Stop the answer; leave the prompt, your draft stays; back"),
    ("Tab", "The other half of the screen"),
    ("^c", "Copy what is selected; stop the answer"),
)


NOTES = (
    (
        "Letters only ever type",
        "wherever you are. Actions are function keys, ^ keys (hold Ctrl), clicks and /words; whatever stops or "
        "deletes something asks first.",
    ),
    (
        "Base and LoRA",
        "Base is the model as it was. LoRA is the same model with the adapter you train, and says from which step it "
        "answered. Each remembers only its own conversation.",
    ),
    (
        "Copying",
        "To select with the mouse hold Shift (Option on a Mac). What the program copies goes to the clipboard of the "
        "computer you sit at, through the terminal, over SSH too; in tmux it needs `set -g set-clipboard on`.",
    ),
    (
        "Files",
        "Drop a file, a folder, a model (its directory or .gguf file) or an adapter on the window, or paste its path: "
        "it becomes the corpus, the model, or the LoRA you talk to.{far}",
    ),
    (
        "Leaving",
        "Training does not need this window: close the terminal, lose the line, it goes on. "
        "`{command} --attach last` comes back.",
    ),
    (
        "Slow lines and small fonts",
        "Over SSH fewer frames are drawn (LORALAB_FPS=5 for fewer still). NO_COLOR=1 and LORALAB_ASCII=1 do what they "
        "say.",
    ),
    ("Other keys", "`loralab-tui --keys` prints these as a file to change: {keys_file}"),
)
"""(heading, text): what nobody can guess. Between braces: what depends on where one is."""


def notes(environ: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    here = {"far": _far(environ), "command": terminal.command(environ), "keys_file": keys_file.path()}
    return ((heading, text.format(**here)) for heading, text in NOTES)


def _far(environ: Mapping[str, str]) -> str:
    if terminal.over_ssh(environ):
        return " You are here over SSH: files of your own computer have to be copied first, the line for it is offered."
    return ""


class Help(Dialog[None]):
    CSS_PATH = ["dialog.tcss", "manners.tcss"]

    def compose(self) -> ComposeResult:
        with VerticalScroll(classes="dialog first") as box:
            box.border_title = "LoRA Lab: keys"
            box.border_subtitle = "↑↓ scroll · Esc: back"
            for group, actions in keymap.groups():
                yield Static(group, classes="heading")
                yield _table([(_keys(action), action.tooltip, _word(action)) for action in actions])
            yield Static("While typing", classes="heading")
            yield _table([(keys, meaning, "") for keys, meaning in PROMPT])
            for heading, text in notes(os.environ):
                yield Static(Content.assemble((heading, "bold"), "\n", (text, "$quiet")), classes="note")


def _keys(action: keymap.Action) -> str:
    return " ".join(dict.fromkeys(keymap.written(key) for key in action.keys))


def _word(action: keymap.Action) -> str:
    return "" if action.screen else f"/{action.id}"


def _table(rows: list[tuple[str, str, str]]) -> Static:
    """Each row: the key, what it does, its name as a command. One widget: a hundred would be slow to open."""
    table = Table.grid(padding=(0, 1), expand=True)
    table.add_column(width=KEYS_WIDTH, style="bold", no_wrap=True)
    table.add_column(ratio=1)
    table.add_column(width=COMMAND_WIDTH, style="dim", no_wrap=True)
    for row in rows:
        table.add_row(*(Text(cell) for cell in row))
    return Static(table, classes="keys")
