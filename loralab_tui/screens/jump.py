"""^o: a letter on everything that can be clicked or typed into; pressing it goes there.

The one place where single letters act, and only while the labels are shown. What they do is what a click there does:
stopping and deleting still ask.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from textual import events
from textual.app import ComposeResult
from textual.binding import Binding
from textual.geometry import Offset
from textual.screen import ModalScreen, Screen
from textual.widget import Widget
from textual.widgets import Static

from loralab_tui.config import keymap
from loralab_tui.screens.left_once import LeftOnce
from loralab_tui.widgets.choice import Option

HINT = "a letter goes there · Esc: back"
LETTERS = "asdfghjklqwertyuiopzxcvbnm1234567890"  # the home row first


@dataclass(frozen=True)
class Place:
    letter: str
    widget: Widget
    at: Offset


def places(screen: Screen[object]) -> list[Place]:
    """From the top down, left to right, as many as there are letters."""
    found = sorted(_reachable(screen), key=lambda widget: (widget.region.y, widget.region.x))
    taken: set[Offset] = set()
    labelled = []
    letters = iter(LETTERS)
    for widget in found:
        at = _corner(widget)
        if at not in taken and (letter := next(letters, None)):
            taken.add(at)
            labelled.append(Place(letter, widget, at))
    return labelled


def _reachable(screen: Screen[object]) -> Iterator[Widget]:
    seen = screen.region
    for widget in screen.walk_children(Widget):
        if widget.disabled or not _acts(widget) or not _on_screen(widget):
            continue
        if seen.contains_point(_corner(widget)):
            yield widget


def _acts(widget: Widget) -> bool:
    """It takes the focus, or a click on it does something. What only holds others that do is left out."""
    clickable = hasattr(type(widget), "on_click") and not widget.children
    return widget.focusable or clickable or isinstance(widget, Option)


def _on_screen(widget: Widget) -> bool:
    return widget.is_on_screen and widget.display and widget.visible and bool(widget.region.area)


def _corner(widget: Widget) -> Offset:
    """Inside a border or padding, where the eye looks for the text."""
    region = widget.content_region
    return (region if region.area else widget.region).offset


def go(widget: Widget) -> None:
    """As if it had been clicked."""
    if widget.focusable:
        widget.focus()
    if hasattr(type(widget), "on_click") or isinstance(widget, Option):
        x, y = widget.region.offset
        # nowhere inside it: what bubbles up to the screen goes on to whatever stands at these coordinates there
        click = events.Click(widget, -1, -1, 0, 0, 1, False, False, False, screen_x=x, screen_y=y)
        widget.post_message(click)


class Jump(LeftOnce, ModalScreen[Widget | None]):
    """Dismissed with the widget to go to."""

    CSS_PATH = "manners.tcss"
    BINDINGS = [
        Binding("escape", "leave", "Leave", show=False),
        Binding(keymap.BY_ID["jump"].key, "leave", "Leave", show=False, id="jump"),
    ]

    def __init__(self, places: list[Place]) -> None:
        super().__init__()
        self.places = {place.letter: place for place in places}

    def compose(self) -> ComposeResult:
        hint = Static(HINT, id="jump-hint", markup=False)
        hint.styles.offset = (max(0, self.app.size.width - len(HINT) - 2), self.app.size.height - 1)
        yield hint
        for place in self.places.values():
            label = Static(place.letter, classes="jump-label", markup=False)
            label.styles.offset = (max(0, place.at.x - 1), place.at.y)
            yield label

    def on_key(self, event: events.Key) -> None:
        if event.character and event.is_printable:
            event.stop()
            place = self.places.get(event.character.lower())
            if place is not None:
                self.dismiss(place.widget)

    def on_click(self) -> None:
        self.dismiss(None)

    def on_resize(self, event: events.Resize) -> None:
        """The labels would stand in the wrong places."""
        if event.size != self.app.size:
            self.dismiss(None)

    def action_leave(self) -> None:
        self.dismiss(None)
