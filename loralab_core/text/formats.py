"""What kind of rows a file holds, told from its first rows and said in words."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path
from typing import Any, Literal

from loralab_core.errors import BadInput
from loralab_core.text.readers import RawRow, is_plain_text, read_rows

Kind = Literal["document", "text", "messages", "sharegpt", "alpaca", "pair"]

_TEXT_FIELDS = ("text", "content")
_PAIRS = (
    ("prompt", "completion"),
    ("prompt", "response"),
    ("question", "answer"),
    ("input", "output"),
    ("instruction", "response"),
    ("query", "response"),
    ("question", "response"),
    ("prompt", "answer"),
    ("prompt", "output"),
)
_LOOKED_AT = 20


@dataclass(frozen=True)
class Format:
    """A row format. `fields`: the fields every row must have, in the order the format reads them."""

    kind: Kind
    fields: tuple[str, ...]

    @property
    def words(self) -> str:
        """How it is named to the user, e.g. "question/answer pairs"."""
        if self.kind == "document":
            return "Markdown text" if self.fields == (".md",) else "plain text"
        if self.kind == "text":
            return f"texts in {self.fields[0]!r}" if self.fields else "texts (JSON strings)"
        if self.kind == "messages":
            return "chats in messages format"
        if self.kind == "sharegpt":
            return "ShareGPT conversations"
        if self.kind == "alpaca":
            return "Alpaca instructions"
        return "/".join(self.fields) + " pairs"

    @property
    def unit(self) -> str:
        return "document" if self.kind == "document" else "row"


def open_rows(path: Path) -> tuple[Format, Iterator[RawRow]]:
    """The format of a JSON file and all of its rows (those looked at included). BadInput when no format fits."""
    rows = read_rows(path)
    first = list(islice(rows, _LOOKED_AT))
    if not first:
        raise BadInput(f"{path} holds no rows; give a corpus with rows in it")
    return _detect(path, first), chain(first, rows)


def format_of(path: Path) -> Format:
    """The format of any readable file, from its first rows."""
    if is_plain_text(path):
        return Format("document", (path.suffix.lower(),))
    return open_rows(path)[0]


def _detect(path: Path, rows: Sequence[RawRow]) -> Format:
    """The first format that the first row has the fields of; later rows are held to it one by one."""
    first = rows[0].value
    if isinstance(first, str):
        return Format("text", ())
    if isinstance(first, dict):
        if found := next(_candidates(first), None):
            return found
        names = ", ".join(sorted(first)) or "none"
        raise BadInput(
            f"{path}: no known format has the fields of {rows[0].where} ({names}); use text, messages, conversations, "
            "instruction/output or prompt/completion"
        )
    raise BadInput(f"{path}, {rows[0].where} is neither an object nor a string; give one JSON object a row")


def _candidates(row: dict[str, Any]) -> Iterator[Format]:
    if isinstance(row.get("messages"), list):
        yield Format("messages", ("messages",))
    if isinstance(turns := row.get("conversations"), list):
        looks_openai = any(isinstance(turn, dict) and "role" in turn for turn in turns)
        yield Format("messages" if looks_openai else "sharegpt", ("conversations",))
    if _has_text(row, "instruction") and _has_text(row, "output"):
        yield Format("alpaca", ("instruction", "output"))
    for pair in _PAIRS:
        if all(_has_text(row, name) for name in pair):
            yield Format("pair", pair)
    for name in _TEXT_FIELDS:
        if _has_text(row, name):
            yield Format("text", (name,))


def _has_text(row: dict[str, Any], name: str) -> bool:
    return isinstance(row.get(name), str)
