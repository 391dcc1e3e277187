"""A prepared corpus for someone's eyes: pieces as they are trained, with what is trained marked, and a histogram."""

from typing import Any

import numpy as np

from loralab_core.text.dataset import TokenizedCorpus
from loralab_core.text.statistics import LengthStatistics, length_statistics
from loralab_core.text.tokenizer import Tokenizer

BINS = 40
REACH = 4  # windows: longer rows share the last bin, or a single long one would flatten all others


def samples(corpus: TokenizedCorpus, tokenizer: Tokenizer, count: int, seq_len: int) -> list[dict[str, Any]]:
    """`count` pieces spread evenly over what is trained on, in order; all of them where there are no more."""
    total = len(corpus.train)
    count = min(max(0, count), total)
    return [_sample(corpus, index * total // count, tokenizer, seq_len) for index in range(count)]


def _sample(corpus: TokenizedCorpus, index: int, tokenizer: Tokenizer, seq_len: int) -> dict[str, Any]:
    """`tokens` counts the row, `shown_tokens` the piece; `piece` of `pieces` says which part of the row it is."""
    pieces, offsets = corpus.train, corpus.store.offsets
    row, start, length = (int(values[index]) for values in (pieces.rows, pieces.starts, pieces.lengths))
    begin, end = int(offsets[row]), int(offsets[row + 1])
    shown = slice(start, start + length)
    mask = pieces.mask[shown].tolist()
    return {
        "row": row + 1,
        "piece": (start - begin) // seq_len + 1,
        "pieces": -(-(end - begin) // seq_len),
        "tokens": end - begin,
        "shown_tokens": length,
        "trained_tokens": sum(mask[1:]),
        "parts": marked_parts(pieces.ids[shown].tolist(), mask, tokenizer),
    }


def marked_parts(ids: list[int], mask: list[int], tokenizer: Tokenizer) -> list[dict[str, Any]]:
    """Stretches of text that are trained or not. Decoded from the beginning each time, since a decoder treats the
    first token of a text specially."""
    borders = [0, *(i for i in range(1, len(mask)) if mask[i] != mask[i - 1]), len(mask)]
    texts = [tokenizer.decode(ids[:border], skip_special=False) for border in borders]
    return [
        {"text": after[len(before) :], "trained": bool(mask[border])}
        for border, before, after in zip(borders, texts, texts[1:], strict=False)
    ]


def histogram(corpus: TokenizedCorpus, seq_len: int) -> LengthStatistics:
    """Lengths of the rows, those beyond REACH windows counted as that long."""
    lengths = np.diff(corpus.store.offsets)
    return length_statistics(np.minimum(lengths, REACH * seq_len), BINS)
