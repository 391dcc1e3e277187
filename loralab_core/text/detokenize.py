"""Turning a stream of token ids into text as it arrives, never showing half a character."""

import re
from collections.abc import Callable, Sequence

_INCOMPLETE = "\N{REPLACEMENT CHARACTER}"  # what decoders put for bytes that are not (yet) a character
_BYTE_TOKEN = re.compile(r"<0x[0-9A-F]{2}>")


class TextStream:
    """`push` each id and show what it returns; `flush` at the end. The pieces joined equal decode(all ids)."""

    def __init__(self, decode: Callable[[Sequence[int]], str], holding: frozenset[int]) -> None:
        """`holding`: tokens that make no text certain: those for one raw byte (a run of them is decoded as a whole or
        not at all), and those that are left out and so do not end such a run."""
        self._decode = decode
        self._holding = holding
        self._ids: list[int] = []
        self._context = 0  # decoding starts here: decoders treat the beginning of a text specially
        self._shown = 0  # ids before this are in the text handed out
        self._length = 0  # characters handed out

    def follow(self, ids: Sequence[int]) -> None:
        """Begin behind `ids`, whose text is not handed out: so the space that joins the two is kept."""
        self._ids = list(ids)
        self._shown = len(self._ids)
        self._length = len(self._decode(self._ids))

    def push(self, token: int) -> str:
        """The text that became certain with `token`, often empty."""
        self._ids.append(token)
        if token in self._holding:
            return ""  # the next byte could still make a run invalid, which changes all of its characters
        before = self._decode(self._ids[self._context : self._shown])
        text = self._decode(self._ids[self._context :])
        if len(text) <= len(before) or text.endswith(_INCOMPLETE):
            return ""
        self._context, self._shown = self._shown, len(self._ids)
        self._length += len(text) - len(before)
        return text[len(before) :]

    def flush(self) -> str:
        """Whatever was held back; incomplete characters come out as U+FFFD, as in decode."""
        rest = self._decode(self._ids)[self._length :]
        self._length += len(rest)
        return rest


def byte_token_ids(vocabulary: dict[str, int]) -> frozenset[int]:
    """Ids of the byte-fallback tokens `<0x00>` … `<0xFF>`."""
    return frozenset(token_id for token, token_id in vocabulary.items() if _BYTE_TOKEN.fullmatch(token))
