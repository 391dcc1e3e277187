"""Columns of a list, which give way where room is short."""

from collections.abc import Callable, Sequence
from typing import Generic, NamedTuple, TypeVar

from loralab_tui import words

GAP = 2  # cells that belong to a column beside its width
SHORTEST = 8  # cells of the one that takes what is left over

Row = TypeVar("Row")


class Column(NamedTuple, Generic[Row]):
    """`rank`: those of the highest fall away first where room is short. A width of 0 takes what is left over."""

    title: str
    width: int
    rank: int
    text: Callable[[Row], str]
    right: bool = False

    def cell(self, text: str, width: int) -> str:
        text = words.shorten(text, width)
        return text.rjust(width) if self.right else text.ljust(width)


def fit_columns(columns: Sequence[Column[Row]], room: int, least: int) -> list[tuple[Column[Row], int]]:
    """The columns for `room` cells, and how wide each is; `least`: what the one of width 0 should have."""
    kept = list(columns)
    while (left := room - sum(column.width + GAP for column in kept)) < least:
        last = max(kept, key=lambda column: column.rank)
        if not last.rank:
            break
        kept.remove(last)
    return [(column, column.width or max(SHORTEST, left)) for column in kept]
