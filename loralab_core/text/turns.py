"""One turn of a conversation, as data; apart, so that readers of it do not bring in the template engine."""

from typing import Any

Message = dict[str, Any]


def whole_characters(text: str) -> str:
    """Without the half of a character that an answer ends with where it was cut between its bytes."""
    return text.rstrip("\N{REPLACEMENT CHARACTER}")
