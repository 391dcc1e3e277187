"""Files to a token store: rows are read and rendered here while the tokenizer works on the batch before."""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import numpy as np

from loralab_core.errors import BadInput, LoraLabError, explain_os_error
from loralab_core.text.encode import Encoder, Ids, Mask, Segment, row_hash
from loralab_core.text.fingerprint import stamps
from loralab_core.text.formats import Format, open_rows
from loralab_core.text.readers import is_plain_text, read_text
from loralab_core.text.samples import sample_of
from loralab_core.text.statistics import counted
from loralab_core.text.token_cache import RowKind, TokenStoreWriter
from loralab_core.text.tokenizer import Tokenizer

_BATCH_CHARACTERS = 1 << 19
_BATCH_SEGMENTS = 512

Report = Callable[[int, int, int], None]  # done bytes, rows, tokens


class _Item(NamedTuple):
    """A segment with where it came from. A row that gives no segment comes as None, to be counted.

    `where`: "line 7 of corpus.jsonl"; empty for the documents of text files.
    """

    segment: Segment | None
    kind: RowKind
    done: int
    where: str = ""


@dataclass
class _Tally:
    """Formats in the order met, with rows and files of each, and rows without anything to train."""

    formats: dict[Format, list[int]] = field(default_factory=dict)
    skipped: int = 0
    first_skipped: str = ""

    def skip(self, where: str) -> None:
        self.skipped += 1
        self.first_skipped = self.first_skipped or where


def tokenize_files(
    files: Sequence[Path], tokenizer: Tokenizer, prompt_loss: bool, writer: TokenStoreWriter, report: Report
) -> None:
    """Fill `writer` from `files`. BadInput for a bad row or when no row has anything to train on."""
    before = stamps(files)
    encoder = Encoder(tokenizer, prompt_loss)
    tally = _Tally()
    rows = _Rows(writer, tally)
    items = _all_items(files, encoder, tally)
    with ThreadPoolExecutor(1, thread_name_prefix="tokenizer") as pool:
        pending: tuple[list[_Item], Future[list[tuple[Ids, Mask]]]] | None = None
        for batch in _batches(items):
            submitted = pool.submit(encoder.encode, [item.segment for item in batch if item.segment])
            if pending:
                rows.add(pending[0], pending[1].result())
                report(pending[0][-1].done, writer.rows, writer.tokens)
            pending = batch, submitted
        if pending:
            rows.add(pending[0], pending[1].result())
            report(pending[0][-1].done, writer.rows, writer.tokens)
    if stamps(files) != before:
        raise LoraLabError("the corpus changed while it was being read; start again")
    _refuse_untrainable(files, encoder, writer, tally)
    writer.finish(
        skipped=tally.skipped,
        refused=encoder.refused,
        refusal=encoder.refusal,
        first_skipped=tally.first_skipped,
        format=_in_words(tally),
        notes=_notes(tokenizer, encoder, tally),
    )


def _all_items(files: Sequence[Path], encoder: Encoder, tally: _Tally) -> Iterator[_Item]:
    base = 0
    for file in files:
        try:
            for item in _text_items(file, encoder, tally) if is_plain_text(file) else _row_items(file, encoder, tally):
                yield item._replace(done=base + item.done)
            base += file.stat().st_size
        except OSError as error:
            raise BadInput(explain_os_error(error, f"read {file}")) from None


def _text_items(file: Path, encoder: Encoder, tally: _Tally) -> Iterator[_Item]:
    counts = tally.formats.setdefault(Format("document", (file.suffix.lower(),)), [0, 0])
    counts[1] += 1
    for lines in read_text(file):
        for segment in encoder.text_segments(lines.text, lines.closes):
            counts[0] += segment.closes
            yield _Item(segment, RowKind.DOCUMENT, lines.end)


def _row_items(file: Path, encoder: Encoder, tally: _Tally) -> Iterator[_Item]:
    format, rows = open_rows(file)
    counts = tally.formats.setdefault(format, [0, 0])
    counts[1] += 1
    kind = RowKind.TEXT if format.kind == "text" else RowKind.CHAT
    for row in rows:
        counts[0] += 1
        where = f"{row.where} of {file.name}"
        segments: list[Segment | None] = list(encoder.segments(sample_of(row, format, file)))
        for segment in segments or [None]:
            yield _Item(segment, kind, row.end, where)


def _batches(items: Iterator[_Item]) -> Iterator[list[_Item]]:
    batch: list[_Item] = []
    characters = 0
    for item in items:
        batch.append(item)
        characters += len(item.segment.text) if item.segment else 0
        if characters >= _BATCH_CHARACTERS or len(batch) >= _BATCH_SEGMENTS:
            yield batch
            batch, characters = [], 0
    if batch:
        yield batch


class _Rows:
    """Joins the segments of a row, which may lie in different batches, and writes the row."""

    def __init__(self, writer: TokenStoreWriter, tally: _Tally) -> None:
        self._writer = writer
        self._tally = tally
        self._parts: list[tuple[Ids, Mask]] = []
        self._segments: list[Segment] = []

    def add(self, batch: Sequence[_Item], encoded: Sequence[tuple[Ids, Mask]]) -> None:
        results = iter(encoded)
        for segment, kind, _, where in batch:
            if segment is None:
                self._tally.skip(where)
                continue
            self._parts.append(next(results))
            self._segments.append(segment)
            if segment.closes:
                self._write(kind, where)

    def _write(self, kind: RowKind, where: str) -> None:
        ids, mask = self._parts[0] if len(self._parts) == 1 else _joined(self._parts)
        if mask[1:].any():
            self._writer.add(ids, mask, row_hash(self._segments), kind)
        else:
            self._tally.skip(where)
        self._parts, self._segments = [], []


def _joined(parts: Sequence[tuple[Ids, Mask]]) -> tuple[Ids, Mask]:
    return np.concatenate([ids for ids, _ in parts]), np.concatenate([mask for _, mask in parts])


def _refuse_untrainable(files: Sequence[Path], encoder: Encoder, writer: TokenStoreWriter, tally: _Tally) -> None:
    if writer.rows:
        return
    where = str(files[0]) if len(files) == 1 else f"{files[0]} and {len(files) - 1} more files"
    if encoder.refused == tally.skipped and encoder.refusal:
        raise BadInput(f"{where}: {encoder.refusal}")
    raise BadInput(
        f"{where}: no row has anything to train on (no assistant turn or completion with text); check the roles, or "
        "set prompt_loss=true to train on prompts too"
    )


def _in_words(tally: _Tally) -> str:
    return "; ".join(_format_words(format, *counts) for format, counts in tally.formats.items())


def _format_words(format: Format, rows: int, files: int) -> str:
    words = f"{format.words}, {counted(rows, format.unit)}"
    return words if files == 1 else f"{words} in {files} files"


def _notes(tokenizer: Tokenizer, encoder: Encoder, tally: _Tally) -> tuple[str, ...]:
    notes = []
    if tokenizer.template_note and any(format.kind not in ("document", "text") for format in tally.formats):
        notes.append(tokenizer.template_note)
    if others := tally.skipped - encoder.refused:
        notes.append(f"{counted(others, 'row')} with nothing to train on skipped")
    if encoder.refused:
        notes.append(f"{counted(encoder.refused, 'row')} skipped: {encoder.refusal}")
    return tuple(notes)
