"""F7: what to train on. A path, a file or folder of the tree, or text pasted into a file of one's own."""

import os
import shlex
import time
from collections.abc import Iterable, Sequence
from pathlib import Path

from textual import on, work
from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import HorizontalGroup, Vertical
from textual.content import Content
from textual.widgets import Button, DirectoryTree, Input, OptionList, Static, TextArea, Tree
from textual.widgets.directory_tree import DirEntry
from textual.widgets.option_list import Option
from textual.worker import get_current_worker

from loralab_core.catalog.pocket import SAMPLE_CORPUS
from loralab_core.errors import BadInput, LoraLabError, explain_os_error
from loralab_core.text.corpus_files import READABLE
from loralab_tui import words
from loralab_tui.data import discover
from loralab_tui.data.recent import Known, known_corpora, typed_paths
from loralab_tui.screens.dialog import Dialog
from loralab_tui.studio import Corpus
from loralab_tui.widgets.choices import Choices

LARGE = "a large folder; Enter looks through all of it"
AT_A_GLANCE = 2_000  # files and folders; threads that walk through a whole disk cannot be called back


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
    BINDINGS = [Binding("down", "to_list", "To the list", show=False)]

    def __init__(self, chosen: Sequence[str]) -> None:
        """`chosen`: the places of the corpus there is."""
        super().__init__()
        self.chosen = chosen
        self.given = chosen[0] if len(chosen) == 1 else shlex.join(chosen)
        self.known: list[Known] = []
        self.start = _beside(chosen[0]) if chosen else discover.here()

    def compose(self) -> ComposeResult:
        with Vertical(classes="dialog") as box:
            box.border_title = "Train on what?"
            box.border_subtitle = "Enter: choose · ↓ Tab: lists · Esc: back"
            yield Static(f"Text ({', '.join(READABLE)}): a file, a folder, or a glob.", classes="lead")
            yield Input(self.given, placeholder="/path/to/corpus.txt", classes="first")
            yield Choices(id="known", compact=True)
            yield ReadableTree(self.start, id="tree")
            yield Static(id="said", markup=False)
            with HorizontalGroup(classes="buttons"):
                yield Button("Paste text…", id="paste")
                yield Button("Use", id="use")

    def on_mount(self) -> None:
        self.query_one("#known").display = False
        self.look_for_known()

    def action_to_list(self) -> None:
        """From the field to what was used before, its first one marked; to the tree where nothing was."""
        listed = self.query_one("#known", OptionList)
        if listed.display:
            listed.focus()
            listed.highlighted = 0 if listed.highlighted is None else listed.highlighted
        else:
            self.query_one("#tree").focus()

    @work(thread=True, group="known")
    def look_for_known(self) -> None:
        found = known_corpora()
        if not get_current_worker().is_cancelled:
            self.app.call_from_thread(self._show_known, found)

    def _show_known(self, found: list[Known]) -> None:
        """Those used before and the sample stand above the tree; one key away."""
        self.known = found
        listed = self.query_one("#known", OptionList)
        listed.add_options([Option(_row(known)) for known in found])
        listed.display = bool(found)

    @on(OptionList.OptionHighlighted)
    def _on_known(self, event: OptionList.OptionHighlighted) -> None:
        if self.focused is event.option_list:
            self.query_one(Input).value = self.known[event.option_index].path

    @on(OptionList.OptionSelected)
    def _pick_known(self, event: OptionList.OptionSelected) -> None:
        self.use(self.known[event.option_index].path)

    @on(Input.Changed)
    def _typed(self, event: Input.Changed) -> None:
        if paths := self._places(event.value):
            self.look(*paths)
            self._follow(os.path.abspath(os.path.expanduser(paths[0])))
        else:
            self.say("")

    def _places(self, text: str) -> Sequence[str]:
        """Those that `text` names. What stood there at first is taken as it was meant, however long."""
        return self.chosen if text == self.given else typed_paths(text)

    def _follow(self, folder: str) -> None:
        """The tree shows the folder that was typed."""
        tree = self.query_one(ReadableTree)
        if self.query_one(Input).has_focus and os.path.isdir(folder) and folder != str(tree.path):
            tree.path = folder

    @work(thread=True, exclusive=True)
    def look(self, *paths: str) -> None:
        """Say what they hold, while one types or walks through the tree. Whoever types begins with all of /."""
        try:
            large = any(discover.holds_more_than(AT_A_GLANCE, os.path.expanduser(path)) for path in paths)
            note, wrong = LARGE if large else discover.look_at(*paths).note, False
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
        if paths := self._places(self.query_one(Input).value):
            self.use(*paths)

    @work(thread=True, exclusive=True)
    def use(self, *paths: str) -> None:
        try:
            corpus = discover.look_at(*paths)
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


def _beside(corpus: str) -> Path:
    """The folder of a corpus; of the one that comes with the program, where one is: nobody's texts lie beside it."""
    folder = os.path.dirname(corpus)
    return Path(folder) if os.path.isdir(folder) and Path(corpus) != SAMPLE_CORPUS else discover.here()


def _row(known: Known) -> Content:
    return Content.assemble(f"{words.shorten(known.name, 34):<36}", (words.shorten(known.about, 30), "$quiet"))


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
