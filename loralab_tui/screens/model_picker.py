"""F6: which model. Type a directory, a file or an id, or words that one of the list has to hold."""

import os
from collections.abc import Callable
from pathlib import Path

from textual import on, work
from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import Vertical
from textual.content import Content
from textual.widgets import Input, OptionList, Static
from textual.worker import get_current_worker

from loralab_core.catalog.found import models
from loralab_core.errors import BadInput
from loralab_core.hardware.room import Room
from loralab_core.planning.candidates import Candidate, candidates
from loralab_tui.data import discover
from loralab_tui.data.about_model import about, legend
from loralab_tui.data.model_names import same_model
from loralab_tui.data.recent import typed_path
from loralab_tui.screens.dialog import Dialog
from loralab_tui.widgets.model_list import ModelList, matches, titles

FindRoom = Callable[[], Room | None]
PLACEHOLDER = "search, or a directory, a .gguf file, owner/name"
HINT = (
    "Type to search by name, subject or licence; or give a path (a directory or a .gguf file), an id of the Hub"
    " (owner/name) or its address."
)


class ModelPicker(Dialog[str]):
    """Dismissed with a directory, a file or an id."""

    CSS_PATH = ["dialog.tcss", "pickers.tcss"]
    VERTICAL_BREAKPOINTS = [(0, "-short"), (20, "-usual"), (32, "-tall")]
    BINDINGS = [Binding("down", "to_list", "To the list", show=False)]

    def __init__(self, chosen: str | None, find_room: FindRoom) -> None:
        super().__init__()
        self.chosen, self.find_room = chosen, find_room
        self.room: Room | None = None
        self.found: list[Candidate] = []
        self.field = Input(chosen or "", placeholder=PLACEHOLDER, select_on_focus=False, classes="first")
        self.list = ModelList()

    def compose(self) -> ComposeResult:
        with Vertical(classes="dialog") as box:
            box.border_title = "Which model?"
            box.border_subtitle = "Enter: choose · ↑↓: list · Esc: back"
            yield self.field
            yield Static(id="titles", markup=False)
            yield self.list
            yield Static(id="about", markup=False)
            yield Static(id="said", markup=False)

    def on_mount(self) -> None:
        self.field.action_select_all()
        self.look(Path(self.chosen).parent if self.chosen and os.path.isdir(self.chosen) else discover.here())

    def on_resize(self) -> None:
        self.call_after_refresh(self.refill)

    # ---- what there is

    @work(thread=True, exclusive=True)
    def look(self, place: Path) -> None:
        """First what there is, then what it needs: vocabularies in GGUF files and a GPU's driver take their time."""
        found = models(place)
        if not self.found:
            self._hand_over([Candidate(model) for model in found], None)
        room = self.find_room()
        self._hand_over(candidates(found, room), room)

    def _hand_over(self, found: list[Candidate], room: Room | None) -> None:
        if not get_current_worker().is_cancelled:
            self.app.call_from_thread(self._show, found, room)

    def _show(self, found: list[Candidate], room: Room | None = None) -> None:
        self.found, self.room = found, room or self.room
        self.refill()

    def refill(self) -> None:
        """The list again, as far as it fits what is typed; the cursor stays where it is while one walks there."""
        if not self.is_mounted:
            return
        before = self.list.marked if self.focused is self.list else None
        texts = [] if self.text == self.chosen else discover.search_words(self.text)
        shown = [one for one in self.found if matches(one, texts)]
        self.query_one("#titles", Static).update(titles(self.list.scrollable_content_region.width))
        self.list.show(shown, before.model.reference if before else self._meant(shown))
        self._explain()

    @property
    def text(self) -> str:
        return typed_path(self.field.value)

    def _meant(self, shown: list[Candidate]) -> str | None:
        """The one that Enter in the field takes: that which was named, or the first that fits the words."""
        references = [one.model.reference for one in shown]
        if not discover.names_a_model(self.text):
            return references[0] if references else None
        try:
            named = discover.check_model(self.text)
        except BadInput:
            return None
        return next((reference for reference in references if same_model(reference, named)), None)

    # ---- what is said

    @on(OptionList.OptionHighlighted)
    def _explain(self) -> None:
        marked = self.list.marked
        self.query_one("#about", Static).update(about(marked, self.room) if marked else Content.styled(HINT, "$quiet"))
        if not self.is_wrong:  # what was said of a path that was entered meanwhile is more important
            self.say(self._what_enter_does() or legend(self.room))

    def _what_enter_does(self) -> str:
        """Where it is not plain from the line that is marked."""
        if self.list.marked or self.focused is self.list or not self.found:
            return ""
        if not discover.names_a_model(self.text):
            return f"Nothing here has “{self.text}”. Fewer words find more; Enter on an id asks the Hub for it."
        try:
            named = discover.check_model(self.text)
        except BadInput:  # said when it is entered: one may be about to type on
            return ""
        return "Enter takes the model there." if os.path.exists(named) else f"Enter asks the Hub for {named}."

    # ---- keys

    @on(Input.Changed)
    def _typed(self, event: Input.Changed) -> None:
        """A directory that holds models instead of being one is looked through."""
        self.say("")
        path = os.path.expanduser(self.text)
        if self.text and os.path.isdir(path) and not discover.is_model_directory(self.text):
            self.look(Path(path))
        self.refill()

    @on(Input.Submitted)
    def _entered(self) -> None:
        if self.list.marked is not None and not discover.names_a_model(self.text):
            self.dismiss(self.list.marked.model.reference)
            return
        try:
            self.dismiss(discover.check_model(self.text))
        except BadInput as error:
            self.say(str(error), wrong=True)

    @on(OptionList.OptionSelected)
    def _picked(self, event: OptionList.OptionSelected) -> None:
        assert event.option_id is not None  # headings cannot be selected
        self.dismiss(self.list.shown[int(event.option_id)].model.reference)

    def action_to_list(self) -> None:
        """From the field, to the model that is marked or to the first, so that Enter takes it.

        At once: `focus()` waits its turn, and keys that come faster would all still be the field's.
        """
        if self.focused is self.list:
            self.list.action_cursor_down()
        self.set_focus(self.list)
        if self.list.highlighted is None:
            self.list.action_first()

    @on(ModelList.Left)
    def _back_to_field(self) -> None:
        self.set_focus(self.field)

    @on(ModelList.Typed)
    def _typed_in_list(self, event: ModelList.Typed) -> None:
        """It goes on searching; a model chosen before is no search that could go on."""
        self.set_focus(self.field)
        if self.text == self.chosen:
            self.field.clear()
        if event.letter:
            self.field.insert_text_at_cursor(event.letter)
        else:
            self.field.action_delete_left()
