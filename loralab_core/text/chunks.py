"""Cutting long text so that its pieces, encoded in parallel, give the very tokens of the whole.

A cut falls between a letter and a line break, where no pre-tokenizer joins. Each piece is encoded together with the
text just before it, whose tokens are dropped again: so it makes no difference to a tokenizer that treats the
beginning of a text specially.
"""

import re
from collections.abc import Iterator
from typing import NamedTuple

CHUNK = 1 << 15  # characters; large enough to make the repeated context cheap, small enough to keep all cores busy
CONTEXT = 64
_GOOD = re.compile(r"(?<=[^\W\d_])(?=\n)")
_FAIR = re.compile(r"(?<=[^\W\d_])(?=\s)")


class Chunk(NamedTuple):
    """`text` whose first `context` characters belong to the chunk before."""

    text: str
    context: int
    opens: bool  # first of its document
    closes: bool  # last of its document


class Chunker:
    """Feed the text of documents as it is read; get chunks back."""

    def __init__(self) -> None:
        self._held = ""
        self._before = ""
        self._opens = True

    def feed(self, text: str, closes: bool) -> Iterator[Chunk]:
        """Add `text` to the current document; with `closes` the document ends after it."""
        self._held += text
        begin = 0
        while len(self._held) - begin > 2 * CHUNK:
            cut = _cut(self._held, begin)
            yield self._chunk(self._held[begin:cut], False)
            begin = cut
        self._held = self._held[begin:]
        if closes:
            yield self._chunk(self._held, True)
            self._held, self._before, self._opens = "", "", True

    def _chunk(self, text: str, closes: bool) -> Chunk:
        chunk = Chunk(self._before + text, len(self._before), self._opens, closes)
        self._before, self._opens = text[-CONTEXT:], False
        return chunk


def _cut(text: str, begin: int) -> int:
    """Where the chunk that begins at `begin` ends: the first good place after CHUNK characters, else a fair one."""
    low, high = begin + CHUNK, min(begin + 2 * CHUNK, len(text) - 1)
    for pattern in (_GOOD, _FAIR):
        if found := pattern.search(text, low, high):
            return found.start()
    return high
