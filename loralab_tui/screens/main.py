"""The one screen: chat on the left, training on the right; tabs where there is no room for both."""

from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import Horizontal
from textual.events import Key, Paste, Resize
from textual.geometry import Size
from textual.screen import Screen
from textual.widgets import Input, TextArea

from loralab_tui.config import keymap
from loralab_tui.states.strip import training_strip
from loralab_tui.studio import Studio
from loralab_tui.terminal.environment import PACE
from loralab_tui.widgets.chat_pane import ChatPane
from loralab_tui.widgets.choice import Choice
from loralab_tui.widgets.footer import Footer
from loralab_tui.widgets.header import Header
from loralab_tui.widgets.too_small import TooSmall
from loralab_tui.widgets.training_pane import TrainingPane


class MainScreen(Screen[None]):
    """Lays out and refreshes the panes and moves the focus; what actions do is the app's."""

    CSS_PATH = "main.tcss"
    AUTO_FOCUS = "#prompt"
    HORIZONTAL_BREAKPOINTS = [(0, "-narrow"), (100, "-wide"), (150, "-broad")]
    VERTICAL_BREAKPOINTS = [(0, "-short"), (32, "-tall")]
    BINDINGS = [
        *keymap.bindings(),
        Binding("escape", "back", "Back", show=False),
        Binding("tab", "next_pane", "Next pane", show=False),
    ]

    def __init__(self, studio: Studio) -> None:
        super().__init__()
        self.studio = studio
        self.header = Header()
        tabs = [("chat", "Chat"), ("training", f"Training  {keymap.name('other_pane')}")]
        self.tabs = Choice(tabs, "chat", signs="▸ ", id="tabs")
        self.chat = ChatPane(id="chat")
        self.training = TrainingPane(id="training")
        self.footer = Footer()
        self.too_small = TooSmall()
        self._stale = True
        self._fitted = Size(0, 0)
        self._resized = False

    def compose(self) -> ComposeResult:
        # Before there is anything to style: with the first size Textual would style every widget once more.
        self.update_classes(self._classes_at(self.app.size), update=False)
        yield self.header
        yield self.tabs
        with Horizontal(id="panes"):
            yield self.chat
            yield self.training
        yield self.footer
        yield self.too_small

    def on_mount(self) -> None:
        self.set_interval(PACE.refresh_s, self._refresh_stale)
        self.show()

    def mark_stale(self) -> None:
        """Numbers came: they are shown with the next refresh, not each for itself."""
        self._stale = True

    def _refresh_stale(self) -> None:
        if self._stale:
            self.show()

    def show(self) -> None:
        """Everything from the studio, now."""
        if not self.is_mounted:
            return
        self._stale = False
        studio = self.studio
        corpus = studio.corpus.name if studio.corpus else None
        ready = studio.train_acts
        plan = studio.plan.short(brief=self.size.width < 110)
        self.header.show(studio.model_title, corpus, plan, studio.train_label, ready)
        self.footer.offer(studio)
        self.training.show(studio)
        self.chat.show(studio)
        if self.has_class("-narrow"):  # elsewhere both sides are seen, and no strip
            self.chat.strip.update(training_strip(studio))
            self.training.strip.update(self.chat.last_line())

    def away_seen(self) -> bool:
        """Close the card of what happened meanwhile; False when there is none."""
        if self.studio.away is None:
            return False
        self.studio.away = None
        self.show()
        return True

    def on_resize(self, event: Resize) -> None:
        """Each size is laid out once: a long transcript costs a tenth of a second.

        Textual would lay out first, then set the classes of the new size; and it tells a screen each size twice. The
        first size is left to it: the second telling is what draws the first frame.
        """
        if self._resized and event.size == self._fitted:
            event.prevent_default()
            return
        if self._fitted and event.size != self._fitted:
            self._resized = True
            self.update_classes(self._classes_at(event.size), animate=False)
        if not self._fitted:
            self.show()  # so that the first frame has it all, and no second one need follow
        self._fitted = event.size
        self.too_small.fit(*self.app.size)
        self.call_after_refresh(self.show)

    def _classes_at(self, size: Size) -> dict[str, bool]:
        """Of both rows of breakpoints the highest that is reached, and not the others."""
        rows = ((size.width, self.HORIZONTAL_BREAKPOINTS), (size.height, self.VERTICAL_BREAKPOINTS))
        reached = {max(point for point in points if point[0] <= length)[1] for length, points in rows}
        return {name: name in reached for _, points in rows for _, name in points}

    # ---- where the keys go

    def on_key(self, event: Key) -> None:
        """A letter typed outside a field goes to the prompt: no single letter ever does anything else."""
        if event.is_printable and event.character and not isinstance(self.focused, TextArea | Input):
            event.stop()
            self.type_text(event.character)

    def on_paste(self, event: Paste) -> None:
        if not isinstance(self.focused, TextArea | Input):
            self.type_text(event.text)

    def type_text(self, text: str) -> None:
        """Into the prompt, wherever one was."""
        self._to_chat()
        self.chat.prompt.insert(text)

    def _to_chat(self) -> None:
        self._show_tab("chat")
        self.chat.prompt.focus()

    def _show_tab(self, tab: str) -> None:
        self.tabs.value = tab
        self.set_class(tab == "training", "-show-training")
        self.call_after_refresh(self.show)

    @property
    def _on_training(self) -> bool:
        return self.training.has_focus or (self.has_class("-narrow") and self.has_class("-show-training"))

    def other_pane(self) -> None:
        if self._on_training:
            self._to_chat()
        else:
            self._show_tab("training")
            self.training.focus()

    def action_next_pane(self) -> None:
        """Prompt → training → prompt; the transcript scrolls with the mouse and Page keys from the prompt's Esc."""
        self.other_pane()

    def action_back(self) -> None:
        """Esc: stop the answer, then leave the prompt with its draft kept, then come back to it."""
        if self.chat.stop() or self.away_seen():
            return
        if self.chat.prompt.has_focus:
            self.chat.transcript.focus()
        else:
            self._to_chat()

    def on_choice_picked(self, event: Choice.Picked) -> None:
        if event.choice.id == "tabs":
            self._show_tab(event.value)
            (self.training if event.value == "training" else self.chat.prompt).focus()
