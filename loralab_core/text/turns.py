"""One turn of a conversation, as data; apart, so that readers of it do not bring in the template engine."""

from collections.abc import Sequence
from typing import Any

from loralab_core.errors import BadInput

Message = dict[str, Any]


def whole_characters(text: str) -> str:
    """Without the half of a character that an answer ends with where it was cut between its bytes."""
    return text.rstrip("\N{REPLACEMENT CHARACTER}")


def as_texts(messages: Sequence[Message]) -> list[Message]:
    """The same with each content as text, parts of text joined; a tool call needs none.

    BadInput names the message that has no role, or holds what is no text: templates would write an image's address, or
    a token for it that a text model never saw.
    """
    return [_as_text(message, number) for number, message in enumerate(messages, 1)]


def _as_text(message: Message, number: int) -> Message:
    content = message.get("content")
    if not isinstance(message.get("role"), str):
        raise BadInput(f'message {number} has no role; write one, such as "user"')
    if isinstance(content, str) or (content is None and message.get("tool_calls")):
        return message
    if isinstance(content, list):
        return {**message, "content": "".join(_part(part, number) for part in content)}
    raise BadInput(f"message {number} has no text; write its content as a text")


def _part(part: Any, number: int) -> str:
    text = part if isinstance(part, str) else part.get("text") if isinstance(part, dict) else None
    if not isinstance(text, str):
        kind = part.get("type", "part") if isinstance(part, dict) else "part"
        raise BadInput(f"message {number} holds what is no text ({kind}), and models read only text here; take it out")
    return text
