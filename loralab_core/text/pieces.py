"""Rows cut to the sequence length, and some of them held out by hash."""

from dataclasses import dataclass
from hashlib import blake2b
from typing import Any

import numpy as np
import numpy.typing as npt

from loralab_core.text.token_cache import RowKind, TokenStore

Int64s = npt.NDArray[np.int64]
_ALL = 2.0**64
_BLOCK = 4096  # pieces


@dataclass(frozen=True)
class Pieces:
    """Stretches of a tokenised corpus, each at most seq_len tokens. `ids` and `mask` are the whole corpus [tokens].

    `starts`, `lengths`: int64 [pieces]. `rows`: the row each piece comes from.
    """

    ids: npt.NDArray[Any]
    mask: npt.NDArray[np.uint8]
    starts: Int64s
    lengths: Int64s
    rows: Int64s

    def __len__(self) -> int:
        return len(self.starts)

    @property
    def tokens(self) -> int:
        return int(self.lengths.sum())

    def take(self, chosen: npt.NDArray[np.bool_]) -> "Pieces":
        return Pieces(self.ids, self.mask, self.starts[chosen], self.lengths[chosen], self.rows[chosen])


@dataclass(frozen=True)
class Cut:
    """All pieces of a store with what happened to its rows, counted in rows (documents of text files apart: to be
    split is their nature); `dropped` counts pieces."""

    pieces: Pieces
    trained: Int64s  # [pieces]: tokens that are predicted and trained in each
    split: int
    cut: int
    dropped: int  # pieces without a trained token


def cut_rows(store: TokenStore, seq_len: int, overlong: str) -> Cut:
    """Cut every row of `store` into pieces of at most `seq_len` tokens.

    A row longer than that becomes consecutive pieces, or only its beginning where `overlong` is "cut" (text files are
    always split). The first token of a piece is never predicted.
    """
    lengths = np.diff(store.offsets)
    counts = np.maximum(1, -(-lengths // seq_len))
    cutting = (counts > 1) & (store.kinds != RowKind.DOCUMENT) & (overlong == "cut")
    rows = np.repeat(np.arange(len(lengths)), counts)
    place = np.arange(len(rows)) - np.repeat(np.cumsum(counts) - counts, counts)  # 0, 1, … within each row
    starts = store.offsets[rows] + place * seq_len
    sizes = np.minimum(seq_len, store.offsets[rows + 1] - starts)
    trained = _trained(store.mask, starts)
    kept = ~(cutting[rows] & (place > 0))
    useful = trained > 0
    pieces = Pieces(store.ids, store.mask, starts, sizes, rows).take(kept & useful)
    return Cut(
        pieces=pieces,
        trained=trained[kept & useful],
        split=int(((counts > 1) & ~cutting & (store.kinds != RowKind.DOCUMENT)).sum()),
        cut=int(cutting.sum()),
        dropped=int((kept & ~useful).sum()),
    )


def _trained(mask: npt.NDArray[np.uint8], starts: Int64s) -> Int64s:
    """Trained tokens of each piece, its first token apart. The pieces tile the mask, which makes the sums one pass."""
    trained = np.empty(len(starts), np.int64)
    for begin in range(0, len(starts), _BLOCK):  # numpy widens the whole mask to int64 before it adds
        block = starts[begin : begin + _BLOCK]
        end = starts[begin + _BLOCK] if begin + _BLOCK < len(starts) else len(mask)
        part = mask[block[0] : end]
        trained[begin : begin + _BLOCK] = (
            np.add.reduceat(part, block - block[0], dtype=np.int64) - part[block - block[0]]
        )
    return trained


def hold_out(store: TokenStore, pieces: Pieces, share: float) -> npt.NDArray[np.bool_]:
    """Which pieces are for validation: bool [pieces], about `share` of them.

    A piece's hash decides, so rows added or removed elsewhere never move it. The hash is its row's; only the pieces of
    a long plain text have hashes of their own, as one book would otherwise be all on one side. Where a corpus is so
    small that a side would stay empty, the smallest (largest) hash goes over.
    """
    if share <= 0 or len(pieces) < 2:
        return np.zeros(len(pieces), bool)
    hashes = _hashes(store, pieces)
    limit = min(int(share * _ALL), 2**64 - 1)
    held: npt.NDArray[np.bool_] = hashes < np.uint64(limit)
    if not held.any():
        held = hashes == hashes.min()
    elif held.all():
        held = hashes != hashes.max()
    if held.all() or not held.any():  # one row, or copies of one
        held = np.zeros(len(pieces), bool)
        held[-1] = True
    return held


def _hashes(store: TokenStore, pieces: Pieces) -> npt.NDArray[np.uint64]:
    hashes = store.hashes[pieces.rows]
    whole = pieces.lengths == np.diff(store.offsets)[pieces.rows]
    for index in np.flatnonzero((store.kinds[pieces.rows] != RowKind.CHAT) & ~whole):
        start = pieces.starts[index]
        content = pieces.ids[start : start + pieces.lengths[index]].astype("<u4").tobytes()
        hashes[index] = int.from_bytes(blake2b(content, digest_size=8).digest(), "little")
    return hashes
