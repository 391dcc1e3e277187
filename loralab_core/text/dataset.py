"""A corpus prepared for training: tokenised once, cached, cut to length, some of it held out."""

import hashlib
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from loralab_core.errors import BadInput
from loralab_core.text.corpus_files import expand, total_bytes
from loralab_core.text.errors import Cancelled
from loralab_core.text.fingerprint import fingerprint_files, fingerprint_of
from loralab_core.text.pieces import Cut, Pieces, cut_rows, hold_out
from loralab_core.text.statistics import LengthStatistics, counted, length_statistics
from loralab_core.text.token_cache import TokenStore, TokenStoreWriter, open_or_make
from loralab_core.text.tokenize_files import tokenize_files
from loralab_core.text.tokenizer import Tokenizer

__all__ = ["Cancelled", "TokenizedCorpus", "fingerprint_of", "prepare"]

_ENCODING = 2  # changes when the same corpus and tokenizer give other tokens than before
_PROGRESS_EVERY = 0.25  # seconds

Progress = Callable[[dict[str, Any]], None]


@dataclass(frozen=True)
class TokenizedCorpus:
    """What `prepare` gives, counted in rows and tokens; `trained_tokens` are those that are predicted and trained."""

    fingerprint: str
    format: str  # e.g. "ShareGPT conversations, 300 rows"
    notes: tuple[str, ...]  # sentences the user should see: the template used, rows skipped, split or cut
    train: Pieces
    validation: Pieces
    rows: int
    skipped: int  # rows with nothing to train on
    split: int
    cut: int
    dropped_pieces: int
    tokens: int
    trained_tokens: int
    lengths: LengthStatistics
    store: TokenStore


def prepare(
    paths: Sequence[str | Path],
    tokenizer: Tokenizer,
    *,
    seq_len: int,
    val: float,
    cache: Path,
    overlong: str = "split",
    prompt_loss: bool = False,
    progress: Progress | None = None,
    cancelled: Callable[[], bool] | None = None,
) -> TokenizedCorpus:
    """Tokenise `paths` (or find them tokenised below `cache`) and cut them to `seq_len` tokens.

    `progress` gets {"event": "tokenizing", "done_bytes", "total_bytes", "rows", "tokens"} a few times a second.
    Raises BadInput for what is wrong with the corpus, Cancelled when `cancelled()` becomes true (nothing is kept), and
    LoraLabError when the cache cannot be written.
    """
    if seq_len < 2:
        raise BadInput(f"--seq-len {seq_len} is too short: a window's first token is never predicted; give 2 or more")
    files = expand(paths)
    fingerprint = fingerprint_files(files, cache)
    directory = cache / "tokens" / _key(fingerprint, tokenizer, prompt_loss)
    report = _Reporter(total_bytes(files), progress, cancelled)

    def fill(writer: TokenStoreWriter) -> None:
        tokenize_files(files, tokenizer, prompt_loss, writer, report)

    store = open_or_make(directory, "uint16" if tokenizer.vocab_size <= 1 << 16 else "uint32", fill)
    return _assemble(store, fingerprint, seq_len, val, overlong)


def _key(fingerprint: str, tokenizer: Tokenizer, prompt_loss: bool) -> str:
    parts = f"{_ENCODING} {fingerprint} {tokenizer.fingerprint} {prompt_loss}"
    return hashlib.sha256(parts.encode()).hexdigest()[:32]


def _assemble(store: TokenStore, fingerprint: str, seq_len: int, val: float, overlong: str) -> TokenizedCorpus:
    cut = cut_rows(store, seq_len, overlong)
    if not len(cut.pieces):
        raise BadInput(
            f"no row of the corpus has a trained token within its first {seq_len} tokens; raise --seq-len, or set "
            "overlong=split"
        )
    held = hold_out(store, cut.pieces, val)
    info = store.info
    return TokenizedCorpus(
        fingerprint=fingerprint,
        format=info.format,
        notes=(*info.notes, *_cut_notes(cut, seq_len)),
        train=cut.pieces.take(~held),
        validation=cut.pieces.take(held),
        rows=info.rows,
        skipped=info.skipped,
        split=cut.split,
        cut=cut.cut,
        dropped_pieces=cut.dropped,
        tokens=cut.pieces.tokens,
        trained_tokens=int(cut.trained.sum()),
        lengths=length_statistics(np.diff(store.offsets)),
        store=store,
    )


def _cut_notes(cut: Cut, seq_len: int) -> list[str]:
    notes = []
    if cut.split:
        notes.append(f"{counted(cut.split, 'row')} longer than {seq_len} tokens split")
    if cut.cut:
        notes.append(f"{counted(cut.cut, 'row')} longer than {seq_len} tokens cut")
    if cut.dropped:
        notes.append(f"{counted(cut.dropped, 'piece')} without a trained token left out")
    return notes


class _Reporter:
    """Passes progress on at a bearable rate, and raises Cancelled."""

    def __init__(self, total: int, progress: Progress | None, cancelled: Callable[[], bool] | None) -> None:
        self._total = total
        self._progress = progress
        self._cancelled = cancelled
        self._next = 0.0

    def __call__(self, done_bytes: int, rows: int, tokens: int) -> None:
        if self._cancelled and self._cancelled():
            raise Cancelled("tokenising was cancelled; nothing of it was kept")
        now = time.monotonic()
        if self._progress and (now >= self._next or done_bytes >= self._total):
            self._next = now + _PROGRESS_EVERY
            done = min(done_bytes, self._total)
            self._progress(
                {"event": "tokenizing", "done_bytes": done, "total_bytes": self._total, "rows": rows, "tokens": tokens}
            )
