"""The first sample of a corpus, as people would say it: enough to recognise what was chosen."""

from itertools import islice
from pathlib import Path

from loralab_core.errors import BadInput
from loralab_core.text.corpus_files import expand
from loralab_core.text.formats import open_rows
from loralab_core.text.readers import is_plain_text, read_text
from loralab_core.text.samples import Sample, TextSample, sample_of
from loralab_tui import words

BLOCK = 1 << 14  # bytes of a text looked at
LARGE = 32 << 20  # bytes; a .json file has to be read whole
ROWS = 20  # looked at until one can be shown
LONGEST = 600  # characters of one turn
LINES = 6  # of a document

Turn = tuple[str, str]
"""(who, what they say): "user", "assistant", "system" …, or "text"."""


def first_sample(*corpus: str) -> list[Turn]:
    """Its turns; empty where nothing can be read, which choosing or training it will explain. For a thread."""
    try:
        return next((found for file in expand(corpus) if (found := _first(file))), [])
    except (BadInput, OSError):
        return []


def _first(file: Path) -> list[Turn]:
    if is_plain_text(file):
        block = next(read_text(file, BLOCK), None)
        return _document(block.text) if block is not None else []
    if file.suffix.lower() != ".jsonl" and file.stat().st_size > LARGE:
        return []
    format, rows = open_rows(file)
    samples = (sample_of(row, format, file) for row in islice(rows, ROWS))
    return next((turns for sample in samples if (turns := _turns(sample))), [])


def _turns(sample: Sample) -> list[Turn]:
    if isinstance(sample, TextSample):
        return _document(sample.text)
    said = [(turn.get("role", ""), _short(turn.get("content") or "")) for turn in sample.messages]
    return said if any(role == "assistant" and text for role, text in said) else []


def _document(text: str) -> list[Turn]:
    """Its first lines as they stand: verse and code are recognised by them."""
    lines = [line.rstrip() for line in text[:LONGEST].splitlines() if line.strip()]
    return [("text", "\n".join(lines[:LINES]))] if lines else []


def _short(text: str) -> str:
    return words.one_line(text[:LONGEST])
