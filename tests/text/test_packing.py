"""Windows hold every token once, labels never cross pieces, and the order is a function of the step alone."""

import time

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from loralab_core.text.packing import IGNORED, best_fit, order, pack
from loralab_core.text.pieces import Pieces


def _pieces(lengths: list[int], seed: int = 0) -> Pieces:
    random = np.random.default_rng(seed)
    ids = np.arange(1, sum(lengths) + 1, dtype=np.uint32)
    mask = random.integers(0, 2, len(ids)).astype(np.uint8)
    sizes = np.array(lengths, np.int64)
    return Pieces(ids, mask, np.cumsum(sizes) - sizes, sizes, np.arange(len(sizes)))


lengths_of_pieces = st.lists(st.integers(2, 16), min_size=1, max_size=60)


@settings(deadline=None)
@given(lengths_of_pieces, st.booleans(), st.integers(0, 5))
def test_every_token_stands_in_exactly_one_window(lengths: list[int], packing: bool, seed: int) -> None:
    pieces = _pieces(lengths)
    windows = pack(pieces, 16, packing, seed)
    batch = windows.batch(range(len(windows)))
    assert sorted(batch.ids[batch.document >= 0].tolist()) == list(range(1, sum(lengths) + 1))
    assert batch.tokens == sum(lengths)
    assert (batch.ids[batch.document < 0] == 0).all()
    assert 0 < windows.fill <= 1
    if not packing:
        assert len(windows) == len(lengths)


@settings(deadline=None)
@given(lengths_of_pieces, st.integers(0, 5))
def test_labels_are_the_next_trained_token_of_the_same_piece(lengths: list[int], seed: int) -> None:
    pieces = _pieces(lengths, seed)
    batch = pack(pieces, 16, True, seed).batch(range(len(pack(pieces, 16, True, seed))))
    mask_of = dict(zip(pieces.ids.tolist(), pieces.mask.tolist(), strict=True))
    for row, spans in enumerate(batch.segments):
        for number, (start, end) in enumerate(spans):
            assert (batch.document[row, start:end] == number).all()
            assert batch.positions[row, start:end].tolist() == list(range(end - start))
            for place in range(start, end):
                follower = batch.ids[row, place + 1] if place + 1 < end else None
                expected = follower if follower is not None and mask_of[int(follower)] else IGNORED
                assert batch.labels[row, place] == expected
        assert (batch.labels[row, spans[-1][1] :] == IGNORED).all()
        assert (batch.document[row, spans[-1][1] :] == -1).all()
        assert [start for start, _ in spans] == [0, *(end for _, end in spans[:-1])]


@given(lengths_of_pieces, st.integers(0, 5))
def test_packing_is_deterministic_and_never_worse_than_twice_the_least(lengths: list[int], seed: int) -> None:
    sizes = np.array(lengths, np.int64)
    members, bounds = best_fit(sizes, 16, seed)
    again, _ = best_fit(sizes, 16, seed)
    assert members.tolist() == again.tolist()
    assert len(bounds) - 1 <= 2 * -(-sum(lengths) // 16)


def test_a_million_pieces_are_packed_well_in_seconds() -> None:
    lengths = np.random.default_rng(0).integers(2, 2049, 1_000_000)
    started = time.perf_counter()
    _, bounds = best_fit(lengths, 2048, 0)
    assert time.perf_counter() - started < 15
    assert lengths.sum() / ((len(bounds) - 1) * 2048) > 0.98


@given(st.integers(1, 50), st.integers(1, 20), st.integers(0, 3))
def test_steps_walk_through_whole_epochs(n_windows: int, batch: int, seed: int) -> None:
    steps = 3 * n_windows // batch + 2
    stream = np.concatenate([order(n_windows, step, batch, seed) for step in range(1, steps + 1)])
    for epoch in range(len(stream) // n_windows):
        assert sorted(stream[epoch * n_windows : (epoch + 1) * n_windows]) == list(range(n_windows))
    assert order(n_windows, steps, batch, seed).tolist() == stream[-batch:].tolist()


def test_epochs_and_seeds_differ() -> None:
    assert order(100, 1, 100, 0).tolist() != order(100, 2, 100, 0).tolist()
    assert order(100, 1, 100, 0).tolist() != order(100, 1, 100, 1).tolist()
    assert order(1000, 1, 5, 0).tolist() == [855, 921, 269, 11, 850]  # resuming elsewhere walks the same way
