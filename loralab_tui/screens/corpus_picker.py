"""F7: what to train on. A path, a file or folder of the tree, or text pasted into a file of one's own."""

import time
from collections.abc import Iterable
from pathlib import Path

from textual import on, work
from textual.app import ComposeResult
from textual.containers import HorizontalGroup, Vertical
from textual.widgets import Button, DirectoryTree, Input, Static, TextArea, Tree
from textual.widgets.directory_tree import DirEntry
from textual.worker import get_current_worker

from loralab_core.errors import BadInput, LoraLabError, explain_os_error
from loralab_core.text.corpus_files import READABLE
from loralab_tui import discover
from loralab_tui.screens.dialog import Dialog
from loralab_tui.studio import Corpus


class ReadableTree(DirectoryTree):
    """Folders and the kinds of files that can be a corpus. Signs that every terminal font has, instead of emoji."""

    ICON_NODE = "▸ "
    ICON_NODE_EXPANDED = "▾ "
    ICON_FILE = "  "

    def filter_paths(self, paths: Iterable[Path]) -> Iterable[Path]:
        shown = (path for path in paths if not path.name.startswith("."))
        return [path for path in shown if path.is_dir() or path.suffix.lower() in READABLE]


class CorpusPicker(Dialog[Corpus]):
    CSS_PATH = ["dialog.tcss", "pickers.tcss"]

    def __init__(self, chosen: str | None) -> None:
        super().__init__()
        self.chosen = chosen
        self.start = Path(chosen).parent if chosen and Path(chosen).parent.is_dir() else Path.cwd()

    def compose(self) -> ComposeResult:
        with Vertical(classes="dialog") as box:
            box.border_title = "Train on what?"
            box.border_subtitle = "Enter: choose · Tab: tree · Esc: back"
            yield Static(f"Text ({', '.join(READABLE)}): a file, a folder, or a glob.", classes="lead")
            yield Input(self.chosen or "", placeholder="/path/to/corpus.txt", classes="first", select_on_focus=False)
            yield ReadableTree(self.start, id="tree")
            yield Static(id="said", markup=False)
            with HorizontalGroup(classes="buttons"):
                yield Button("Paste text…", id="paste")
                yield Button("Use", id="use")

    @on(Input.Changed)
    def _typed(self, event: Input.Changed) -> None:
        if path := event.value.strip():
            self.look(path)
        else:
            self.say("")

    @work(thread=True, exclusive=True)
    def look(self, path: str) -> None:
        """Say what the path holds, while one types or walks through the tree."""
        try:
            note, wrong = discover.look_at(path).note, False
        except LoraLabError as error:
            note, wrong = str(error), True
        if not get_current_worker().is_cancelled:
            self.app.call_from_thread(self.say, note, wrong=wrong)

    @on(Tree.NodeHighlighted)
    def _walked(self, event: Tree.NodeHighlighted[DirEntry]) -> None:
        if event.node.data is not None and self.query_one("#tree").has_focus:
            self.query_one(Input).value = str(event.node.data.path)

    @on(DirectoryTree.FileSelected)
    def _picked(self, event: DirectoryTree.FileSelected) -> None:
        self.use(str(event.path))

    @on(Input.Submitted)
    @on(Button.Pressed, "#use")
    def _use(self) -> None:
        if path := self.query_one(Input).value.strip():
            self.use(path)

    @work(thread=True, exclusive=True)
    def use(self, path: str) -> None:
        try:
            corpus = discover.look_at(path)
        except LoraLabError as error:
            self.app.call_from_thread(self.say, str(error), wrong=True)
        else:
            self.app.call_from_thread(self.dismiss, corpus)

    @on(Button.Pressed, "#paste")
    def _paste(self) -> None:
        def pasted(path: str | None) -> None:
            if path:
                self.use(path)

        self.app.push_screen(PasteText(), pasted)


class PasteText(Dialog[str]):
    """Dismissed with the file the text was written to."""

    CSS_PATH = ["dialog.tcss", "pickers.tcss"]

    def compose(self) -> ComposeResult:
        with Vertical(classes="dialog") as box:
            box.border_title = "Paste the text to train on"
            box.border_subtitle = "Tab: to the buttons · Esc: back"
            yield TextArea(classes="first", tab_behavior="focus", soft_wrap=True)
            yield Static(id="said", markup=False)
            with HorizontalGroup(classes="buttons"):
                yield Button("Keep as a corpus", id="keep")

    @on(Button.Pressed, "#keep")
    def _keep(self) -> None:
        name = time.strftime("pasted-%m%d-%H%M%S")
        try:
            self.dismiss(str(discover.keep_pasted(self.query_one(TextArea).text, name)))
        except BadInput as error:
            self.say(str(error), wrong=True)
        except OSError as error:
            self.say(explain_os_error(error, "keep the text"), wrong=True)
