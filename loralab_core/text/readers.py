"""Raw rows of a corpus file, streamed: JSON values with their line numbers, or stretches of plain text."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import msgspec

from loralab_core.errors import BadInput
from loralab_core.text.corpus_files import decode_utf8, refuse_binary

SEPARATOR = "<|endoftext|>"
_BOM = b"\xef\xbb\xbf"
_BROKEN = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
_TEXT_KINDS = (".txt", ".md")


@dataclass(frozen=True, slots=True)
class RawRow:
    """One JSON value. `where`: "line 7" or "row 7", for messages. `end`: bytes of the file consumed with it."""

    value: Any
    where: str
    end: int


@dataclass(frozen=True, slots=True)
class TextLine:
    """Some whole lines of a text file; `closes` after the last of a document."""

    text: str
    closes: bool
    end: int


def is_plain_text(path: Path) -> bool:
    return path.suffix.lower() in _TEXT_KINDS


def read_rows(path: Path) -> Iterator[RawRow]:
    """Values of a .jsonl file line by line, or of the array in a .json file."""
    if path.suffix.lower() == ".jsonl":
        return _json_lines(path)
    return _json_document(path)


def _json_lines(path: Path) -> Iterator[RawRow]:
    decode = msgspec.json.Decoder().decode
    end = 0
    with open(path, "rb") as file:
        for number, line in enumerate(file, 1):
            start, end = end, end + len(line)
            if number == 1:
                line = line.removeprefix(_BOM)
            if not line.strip():
                continue
            try:
                yield RawRow(decode(line), f"line {number}", end)
            except _BROKEN as error:
                _explain_line(path, line, start, number, error)


def _explain_line(path: Path, line: bytes, start: int, number: int, error: Exception) -> None:
    refuse_binary(path, line, start)
    decode_utf8(path, line, start)
    raise BadInput(f"{path}, line {number} is not valid JSON ({error}); correct or delete that line") from None


def _json_document(path: Path) -> Iterator[RawRow]:
    content = path.read_bytes().removeprefix(_BOM)
    try:
        document = msgspec.json.decode(content)
    except _BROKEN as error:
        if _looks_like_lines(content):
            yield from _json_lines(path)
            return
        refuse_binary(path, content, 0)
        decode_utf8(path, content, 0)
        raise BadInput(f"{path} is not valid JSON ({_with_line(content, error)}); correct it there") from None
    size = len(content)
    del content
    rows = _array_in(path, document)
    for number, value in enumerate(rows, 1):
        yield RawRow(value, f"row {number}", size * number // len(rows))


def _array_in(path: Path, document: Any) -> list[Any]:
    if isinstance(document, dict):
        arrays = [value for value in document.values() if isinstance(value, list)]
        if len(arrays) == 1 and not {"messages", "conversations"} & set(document):
            document = arrays[0]
        else:
            document = [document]
    if not isinstance(document, list):
        raise BadInput(f"{path} should hold a JSON array of rows, or an object with one array; wrap the rows in [ ]")
    if not document:
        raise BadInput(f"{path} holds an empty array; give a corpus with rows in it")
    return document


def _looks_like_lines(content: bytes) -> bool:
    """Many files called .json hold one object a line."""
    first, newline, rest = content.lstrip().partition(b"\n")
    if not newline or not rest.strip() or not first.startswith(b"{"):
        return False
    try:
        return isinstance(msgspec.json.decode(first), dict)
    except _BROKEN:
        return False


def _with_line(content: bytes, error: Exception) -> str:
    """The decoder's message with the line it means; without a position it means the end (a truncated file)."""
    found = re.search(r"\(byte (\d+)\)", str(error))
    line = content.count(b"\n", 0, int(found[1]) if found else len(content)) + 1
    return f"{error}, in line {line}"


def read_text(path: Path, block_bytes: int = 1 << 18) -> Iterator[TextLine]:
    """Documents of a text file: one, unless lines that are `<|endoftext|>` separate several."""
    with open(path, "rb") as file:
        held, end = "", 0
        for block, end in _line_blocks(path, file, block_bytes):
            for closes, text in _split_documents(block):
                if closes:
                    yield TextLine(held + text, True, end)
                    held = ""
                elif held:
                    yield TextLine(held, False, end)
                    held = text
                else:
                    held = text
        yield TextLine(held, True, end)


def _split_documents(block: str) -> Iterator[tuple[bool, str]]:
    """(True, text up to a separator line) …, then (False, the rest). Separator lines themselves vanish."""
    if SEPARATOR in block:
        begin = 0
        for match in re.finditer(r"^[ \t]*<\|endoftext\|>[ \t]*\r?(?:\n|\Z)", block, re.MULTILINE):
            yield True, block[begin : match.start()]
            begin = match.end()
        block = block[begin:]
    yield False, block


def _line_blocks(path: Path, file: BinaryIO, block_bytes: int) -> Iterator[tuple[str, int]]:
    """Blocks of whole lines with the offset behind each; a line longer than a block makes a longer block."""
    offset = 0
    while block := file.read(block_bytes) + file.readline():
        refuse_binary(path, block, offset)
        text = decode_utf8(path, block.removeprefix(_BOM) if offset == 0 else block, offset)
        offset += len(block)
        yield text, offset
