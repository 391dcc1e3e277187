"""Texts that end an answer, wherever the borders of its tokens lie."""

from collections.abc import Sequence

from loralab_core.text.tokenizer import Tokenizer


def stop_ids(tokenizer: Tokenizer, stops: Sequence[str]) -> frozenset[int]:
    """Special tokens that are stops: no text is made of them, so they would never be found there."""
    found = (tokenizer.backend.token_to_id(stop) for stop in stops)
    return tokenizer.special_ids.intersection(token for token in found if token is not None)


class StopStrings:
    """`push` each piece, show what it returns: what could be the beginning of a stop is held back until it is not."""

    def __init__(self, stops: Sequence[str]):
        self._stops = [stop for stop in stops if stop]
        self._held = ""
        self.found = False

    def push(self, piece: str) -> str:
        """The text that is certain. Once a stop has come, `found` is set and nothing more is given."""
        if self.found or not self._stops:
            return "" if self.found else piece
        text = self._held + piece
        first = min((at for stop in self._stops if (at := text.find(stop)) >= 0), default=-1)
        if first >= 0:
            self.found, self._held = True, ""
            return text[:first]
        keep = max(self._overlap(text, stop) for stop in self._stops)
        self._held = text[len(text) - keep :]
        return text[: len(text) - keep]

    def flush(self) -> str:
        """What was held back and came to nothing."""
        held, self._held = self._held, ""
        return held

    @staticmethod
    def _overlap(text: str, stop: str) -> int:
        """How many characters at the end of `text` begin `stop`."""
        longest = min(len(text), len(stop) - 1)
        return next((count for count in range(longest, 0, -1) if text.endswith(stop[:count])), 0)
