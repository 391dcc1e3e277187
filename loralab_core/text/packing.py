"""Pieces into windows of the sequence length, windows into batches, and the order they are trained in."""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from loralab_core.text.pieces import Pieces

Int64s = npt.NDArray[np.int64]
IGNORED = -100  # the label of a position that is not trained


@dataclass(frozen=True)
class Batch:
    """B windows of T positions, right-padded.

    labels[t] is the token to be predicted at t: ids[t + 1] where that is in the same piece and trained, else IGNORED.
    positions restart at 0 in each piece. document numbers the pieces of a row 0, 1, 2 …; padding is -1.
    segments: for each row the [start, end) of its pieces.
    """

    ids: Int64s  # [B, T]
    labels: Int64s  # [B, T]
    positions: Int64s  # [B, T]
    document: npt.NDArray[np.int32]  # [B, T]
    segments: list[list[tuple[int, int]]]

    @property
    def tokens(self) -> int:
        """Positions that are not padding."""
        return int((self.document >= 0).sum())

    @property
    def trained(self) -> int:
        """Positions with a label."""
        return int((self.labels != IGNORED).sum())


@dataclass(frozen=True)
class Windows:
    """Which pieces stand in which window: window w holds pieces members[bounds[w] : bounds[w + 1]], in that order."""

    pieces: Pieces
    seq_len: int
    members: Int64s  # [pieces]
    bounds: Int64s  # [windows + 1]
    pad_id: int = 0

    def __len__(self) -> int:
        return len(self.bounds) - 1

    @property
    def fill(self) -> float:
        """Share of positions that are not padding, 0 … 1."""
        return self.pieces.tokens / (len(self) * self.seq_len) if len(self) else 0.0

    def batch(self, indices: npt.ArrayLike) -> Batch:
        """The windows `indices` [B] as arrays [B, seq_len]."""
        chosen = np.asarray(indices, np.int64)
        shape = (len(chosen), self.seq_len)
        batch = Batch(
            ids=np.full(shape, self.pad_id, np.int64),
            labels=np.full(shape, IGNORED, np.int64),
            positions=np.zeros(shape, np.int64),
            document=np.full(shape, -1, np.int32),
            segments=[[] for _ in chosen],
        )
        for row, window in enumerate(chosen):
            self._fill_row(batch, row, int(window))
        return batch

    def _fill_row(self, batch: Batch, row: int, window: int) -> None:
        start = 0
        for number, piece in enumerate(self.members[self.bounds[window] : self.bounds[window + 1]]):
            source, length = int(self.pieces.starts[piece]), int(self.pieces.lengths[piece])
            end = start + length
            ids = self.pieces.ids[source : source + length].astype(np.int64)  # IGNORED does not fit the stored type
            mask = self.pieces.mask[source + 1 : source + length]
            batch.ids[row, start:end] = ids
            batch.labels[row, start : end - 1] = np.where(mask, ids[1:], IGNORED)
            batch.positions[row, start:end] = np.arange(length)
            batch.document[row, start:end] = number
            batch.segments[row].append((start, end))
            start = end


def pack(pieces: Pieces, seq_len: int, packing: bool = True, seed: int = 0, pad_id: int = 0) -> Windows:
    """Put `pieces` (none longer than `seq_len`) into windows; without `packing` each has one for itself."""
    if packing:
        members, bounds = best_fit(pieces.lengths, seq_len, seed)
    else:
        members, bounds = np.arange(len(pieces)), np.arange(len(pieces) + 1)
    return Windows(pieces, seq_len, members, bounds, pad_id)


def best_fit(lengths: Int64s, seq_len: int, seed: int) -> tuple[Int64s, Int64s]:
    """Best-fit decreasing: (members [pieces], bounds [windows + 1]). Pieces of one length are taken in seeded order.

    Open windows wait in one stack per number of free positions. Which stacks are not empty is a bit set, so the
    tightest window for a piece is the lowest set bit at or above its length: constant time for a million pieces.
    """
    shuffled = _permutation(len(lengths), seed, 0)
    by_length = shuffled[np.argsort(-lengths[shuffled], kind="stable")]
    window_of = np.empty(len(lengths), np.int64)
    stacks: list[list[int]] = [[] for _ in range(seq_len + 1)]
    open_sizes = 0
    windows = 0
    for rank, length in enumerate(lengths[by_length].tolist()):
        fitting = open_sizes >> length
        if fitting:
            free = length + (fitting & -fitting).bit_length() - 1
            window = stacks[free].pop()
            if not stacks[free]:
                open_sizes &= ~(1 << free)
        else:
            free, window, windows = seq_len, windows, windows + 1
        if rest := free - length:
            stacks[rest].append(window)
            open_sizes |= 1 << rest
        window_of[rank] = window
    members = by_length[np.argsort(window_of, kind="stable")]
    bounds = np.concatenate([[0], np.cumsum(np.bincount(window_of, minlength=windows))]).astype(np.int64)
    return members, bounds


def order(n_windows: int, step: int, batch: int, seed: int) -> Int64s:
    """The windows [batch] of optimiser step `step` (from 1), a pure function of its arguments.

    Steps take the next `batch` of an endless stream that is one seeded permutation of all windows after another.
    """
    first = (step - 1) * batch
    stream = (divmod(place, n_windows) for place in range(first, first + batch))
    return np.array([_permutation(n_windows, seed, epoch)[place] for epoch, place in stream], np.int64)


@lru_cache(8)
def _permutation(count: int, seed: int, epoch: int) -> Int64s:
    """Sorted raw bits rather than Generator.permutation: only the bit stream is promised to stay across versions."""
    bits = np.random.PCG64(np.random.SeedSequence([seed, epoch])).random_raw(count)
    shuffled: Int64s = np.argsort(bits, kind="stable")
    shuffled.flags.writeable = False
    return shuffled
