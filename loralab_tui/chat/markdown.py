"""Markdown as lines of text of a given width: bold, italics, headings, lists, quotes, code and tables, modestly.

Textual's own widget is one widget a paragraph, which hundreds of answers cannot afford. Here an answer becomes lines.
Written for what models say: a line break stays one, indented text is not code, HTML is text.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING

from textual.content import Content

if TYPE_CHECKING:  # imported with the first answer: the first paint is sooner
    from markdown_it import MarkdownIt
    from markdown_it.token import Token

CODE = "on $panel"
LONGEST = 20_000  # characters of one section; a longer one is shown as it stands
MOST_MARKS = 1_000  # of one section: brackets cost the parser their square
_MARKS = {"strong": "bold", "em": "italic", "s": "strike", "link": "underline"}
_NOTHING = Content("")
_FENCE = re.compile(r" {0,3}(?:```|~~~)")
_GOES_ON = re.compile(r"[ \t]|[-*+>|] |\d+[.)] ")  # after an empty line: still the list, quote or table before it


@dataclass
class Block:
    """Text with the prefixes of its first line and of those below it. `fill`: to the edge, as code is."""

    body: Content
    first: Content = _NOTHING
    hang: Content = _NOTHING
    fill: str = ""
    rows: list[list[Content]] = field(default_factory=list)  # of a table, the head first
    apart: bool = False  # an empty line stands before it


@lru_cache(1)
def _parser() -> "MarkdownIt":
    from markdown_it import MarkdownIt

    parser = MarkdownIt("commonmark", {"html": False}).enable(["table", "strikethrough"])
    return parser.disable(["code", "lheading", "reference", "html_block", "html_inline"])


Known = dict[tuple[str, int], tuple[Content, ...]]


def markdown_lines(text: str, width: int, known: Known | None = None) -> list[Content]:
    """`text` laid out in `width` cells. Anything that is no Markdown comes out as it went in.

    `known` keeps the sections laid out before, for a text that grows at its end.
    """
    lines: list[Content] = []
    known = {} if known is None else known
    found: Known = {}
    for section in sections(text):
        key = (section, width)
        found[key] = known.get(key) or _section_lines(section, max(1, width))
        lines += [_NOTHING] if lines else []
        lines += found[key]
    known.clear()
    known.update(found)
    return lines


def sections(text: str) -> list[str]:
    """Cut at empty lines between blocks: a growing answer is parsed anew only from its last one on."""
    found: list[list[str]] = [[]]
    fenced = False
    for line in text.split("\n"):
        begins = found[-1] and not found[-1][-1].strip() and not fenced
        if begins and line.strip() and not _GOES_ON.match(line):
            found.append([])
        fenced ^= bool(_FENCE.match(line))
        found[-1].append(line)
    whole = ("\n".join(lines).strip("\n") for lines in found)
    return [section for section in whole if section.strip()]


def _section_lines(text: str, width: int) -> tuple[Content, ...]:
    lines: list[Content] = []
    if len(text) <= LONGEST and sum(text.count(mark) for mark in "[*_`~|") <= MOST_MARKS:
        above = _NOTHING
        for block in _Blocks(_parser().parse(text)).blocks:
            if lines and block.apart:
                lines.append(block.hang.rstrip() if above.plain.startswith(block.hang.plain) else _NOTHING)
            lines += _laid_out(block, width)
            above = block.hang
    return tuple(lines) if _said(lines, text) else tuple(Content(text).wrap(width))


def _said(lines: list[Content], text: str) -> bool:
    """Whether Markdown left most of the text standing; a heap of marks alone would vanish."""
    return 2 * sum(len(line.plain.replace(" ", "")) for line in lines) >= len("".join(text.split()))


def _laid_out(block: Block, width: int) -> Iterator[Content]:
    room = max(8, width - block.first.cell_length)
    body = Content("\n").join(_table(block.rows, room)) if block.rows else block.body
    for number, line in enumerate(body.wrap(room)):
        if block.fill:
            line = line.pad_right(max(0, room - line.cell_length)).stylize_before(block.fill)
        yield Content.assemble(block.hang if number else block.first, line)


def _table(rows: list[list[Content]], width: int) -> list[Content]:
    """In columns where they fit, as "head: cell" lines where they do not."""
    columns = [max(row[at].cell_length if at < len(row) else 0 for row in rows) for at in range(len(rows[0]))]
    if sum(columns) + 3 * (len(columns) - 1) > width:
        return _as_pairs(rows)
    lines = [Content(" │ ").join(_padded(row, columns)) for row in rows]
    return [lines[0].stylize("bold"), Content.styled("─┼─".join("─" * size for size in columns), "$faint"), *lines[1:]]


def _padded(row: list[Content], columns: list[int]) -> list[Content]:
    cells = row + [_NOTHING] * (len(columns) - len(row))
    return [cell.pad_right(size - cell.cell_length) for cell, size in zip(cells, columns, strict=False)]


def _as_pairs(rows: list[list[Content]]) -> list[Content]:
    head = rows[0]
    return [
        Content.assemble((name.plain, "bold"), ": ", cell)
        for row in rows[1:] or [head]
        for name, cell in zip(head, row, strict=False)
    ]


class _Blocks:
    """Walks the parser's flat list of tokens; `_nest` holds a (first, hang) prefix for each open quote and item."""

    def __init__(self, tokens: "list[Token]") -> None:
        self.blocks: list[Block] = []
        self._nest: list[tuple[Content, Content]] = []
        self._lists: list[int | None] = []  # the next number of each open list; None: bullets
        self._heading = False
        self._rows: list[list[Content]] = []
        self._end = 0  # the source's line behind the last block
        take = {1: self._open, 0: self._single, -1: self._close}
        for token in tokens:
            take[token.nesting](token)

    def _open(self, token: "Token") -> None:
        match token.type:
            case "blockquote_open":
                self._nest.append((Content.styled("▏ ", "$quiet"),) * 2)
            case "bullet_list_open":
                self._lists.append(None)
            case "ordered_list_open":
                self._lists.append(int(token.attrs.get("start", 1)))
            case "list_item_open":
                self._nest.append(self._bullet())
            case "heading_open":
                self._heading = True
            case "table_open":
                self._rows, self._table = [], token
            case "tr_open":
                self._rows.append([])

    def _close(self, token: "Token") -> None:
        match token.type:
            case "bullet_list_close" | "ordered_list_close":
                self._lists.pop()
            case "list_item_close" | "blockquote_close":
                self._nest.pop()
            case "heading_close":
                self._heading = False
            case "table_close":
                rows, self._rows = self._rows, []
                self._put(Block(_NOTHING, rows=rows), self._table)

    def _single(self, token: "Token") -> None:
        match token.type:
            case "inline":
                self._text(token)
            case "fence":
                self._put(Block(Content(token.content.rstrip("\n")), fill=CODE), token)
            case "hr":
                self._put(Block(Content.styled("─" * 12, "$faint")), token)

    def _bullet(self) -> tuple[Content, Content]:
        number = self._lists[-1]
        sign = "• " if number is None else f"{number}. "
        if number is not None:
            self._lists[-1] = number + 1
        return Content.styled(sign, "$quiet"), Content(" " * len(sign))

    def _text(self, token: "Token") -> None:
        said = inline(token.children or [])
        if self._rows:
            self._rows[-1].append(said)
        else:
            self._put(Block(said.stylize("bold $primary") if self._heading else said), token)

    def _put(self, block: Block, token: "Token") -> None:
        """A prefix is a bullet once: what follows in the same item stands below it, indented."""
        begin, end = token.map or (self._end, self._end)
        block.first = _NOTHING.join(first for first, _ in self._nest)
        block.hang = _NOTHING.join(hang for _, hang in self._nest)
        block.apart, self._end = begin > self._end, end
        self._nest = [(hang, hang) for _, hang in self._nest]
        self.blocks.append(block)


def inline(tokens: "list[Token]") -> Content:
    """What stands within a paragraph. A link keeps its address, which a terminal cannot hide behind a word."""
    pieces: list[Content] = []
    open_marks: list[str] = []
    address = ""
    for token in tokens:
        kind, _, end = token.type.rpartition("_")
        if end == "open" and kind in _MARKS:
            open_marks.append(_MARKS[kind])
            address = str(token.attrs.get("href", address))
        elif end == "close" and kind in _MARKS:
            open_marks.remove(_MARKS[kind])
            if kind == "link" and address not in "".join(piece.plain for piece in pieces[-3:]):
                pieces.append(Content.styled(f" ({address})", "$quiet"))
        elif token.type in ("softbreak", "hardbreak"):
            pieces.append(Content("\n"))
        else:
            marks = [*open_marks, CODE] if token.type == "code_inline" else open_marks
            pieces.append(Content.styled(token.content, " ".join(marks)))
    return Content("").join(pieces)
