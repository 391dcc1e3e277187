"""The models one can choose from, in groups; one line each, as many columns as the screen has room for."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from textual.content import Content
from textual.events import Key
from textual.message import Message
from textual.widgets.option_list import Option

from loralab_core.planning.candidates import Candidate
from loralab_tui import words
from loralab_tui.widgets.choices import Choices
from loralab_tui.widgets.columns import GAP, Column, fit_columns

SIGNS = {"fits": "✓ fits", "tight": "! tight", "too big": "✕ too big"}
COLOURS = {"fits": "$success", "tight": "$warning", "too big": "$error"}
HERE = "On this computer"
HUB = "On the Hub, to be downloaded"
GATED, GATED_MEANS = " *", "  * accept the licence there first"
LEAST_NAME = 24
ROOM_FOR_OWNERS = 34


def fit_words(one: Candidate) -> str:
    if one.refused:
        return "✕ refused"
    return SIGNS[one.need.here] if one.need else words.DASH


COLUMNS: tuple[Column[Candidate], ...] = (
    Column("model", 0, 0, lambda one: one.model.name),
    Column("params", 6, 3, lambda one: words.parameters(one.figures.parameters if one.figures else None), right=True),
    Column("weights", 7, 1, lambda one: words.size(one.model.size), right=True),
    Column("memory", 7, 0, lambda one: words.size(one.need.train if one.need else None), right=True),
    Column("here", 9, 0, fit_words),
    Column("licence", 10, 2, lambda one: (one.model.licence or words.DASH) + (GATED if one.model.gated else "")),
)


def fitting(width: int) -> list[tuple[Column[Candidate], int]]:
    """The columns for a list of `width` cells, and how wide each is."""
    return fit_columns(COLUMNS, width + GAP, LEAST_NAME)  # nothing stands before the first


def titles(width: int) -> str:
    return (" " * GAP).join(column.cell(column.title, cells) for column, cells in fitting(width))


def row(one: Candidate, width: int) -> Content:
    (_, name_width), *columns = fitting(width)
    parts: list[Content | str | tuple[str, str]] = [_name(one, name_width)]
    for column, cells in columns:
        text = " " * GAP + column.cell(column.text(one), cells)
        parts.append((text, _colour(one, column.title)))
    return Content.assemble(*parts)


def _colour(one: Candidate, title: str) -> str:
    if title == "here" and (one.need or one.refused):
        return COLOURS[one.need.here] if one.need else "$error"
    return "$quiet" if title in ("params", "licence") else ""


def _name(one: Candidate, width: int) -> Content:
    """Of an id its owner only where there is room, and paler: what tells models apart is the name."""
    owner, slash, name = one.model.name.rpartition("/")
    if width < ROOM_FOR_OWNERS or not slash:
        return Content(words.shorten(name, width).ljust(width))
    shown = words.shorten(one.model.name, width)
    return Content.assemble((shown[: len(owner) + 1], "$quiet"), shown[len(owner) + 1 :].ljust(width - len(owner) - 1))


def matches(one: Candidate, texts: Sequence[str]) -> bool:
    model = one.model
    said = " ".join((model.name, model.reference, model.about, model.licence, model.where)).lower()
    return all(text in said for text in texts)


class ModelList(Choices):
    """Posts Left when one goes up from the first line, and Typed for what is typed: both belong to the field above."""

    class Left(Message):
        """Back to the field."""

    @dataclass
    class Typed(Message):
        """A letter; "" takes one back."""

        letter: str

    def __init__(self) -> None:
        super().__init__(id="found", compact=True)
        self.shown: list[Candidate] = []

    @property
    def marked(self) -> Candidate | None:
        """The one the cursor is on."""
        option = self.highlighted_option
        return self.shown[int(option.id)] if option and option.id else None

    def show(self, found: Sequence[Candidate], marked: str | None) -> None:
        """`marked`: the reference of the one the cursor goes to."""
        self.shown = list(found)
        self.clear_options()
        self.add_options(self._grouped())
        self.mark(marked)

    def mark(self, reference: str | None) -> None:
        at = next((str(number) for number, one in enumerate(self.shown) if one.model.reference == reference), None)
        self.highlighted = None if at is None else self.get_option_index(at)

    def _grouped(self) -> Iterator[Option]:
        width = self.scrollable_content_region.width or self.size.width
        for heading, here in ((HERE, True), (HUB, False)):
            group = [(at, one) for at, one in enumerate(self.shown) if (one.model.path is not None) is here]
            if group:
                means = GATED_MEANS if any(one.model.gated for _, one in group) else ""
                yield Option(Content.assemble((heading, "bold $primary"), (means, "$quiet")), disabled=True)
            yield from (Option(row(one, width), id=str(at)) for at, one in group)

    def action_cursor_up(self) -> None:
        first = next((at for at, option in enumerate(self.options) if not option.disabled), None)
        if self.highlighted == first:
            self.post_message(self.Left())
        else:
            super().action_cursor_up()

    def on_key(self, event: Key) -> None:
        if event.key == "backspace" or (event.is_printable and event.character):
            event.stop()
            event.prevent_default()
            self.post_message(self.Typed(event.character or "" if event.is_printable else ""))
