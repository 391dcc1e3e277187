"""Which characters of a rendered conversation are the assistant's: what training is to teach."""

from collections.abc import Sequence
from typing import Any

from loralab_core.errors import BadInput
from loralab_core.text.chat_template import ChatTemplate
from loralab_core.text.turns import Message

Span = tuple[int, int]


def assistant_spans(template: ChatTemplate, messages: Sequence[Message], tools: Any = None) -> tuple[str, list[Span]]:
    """The rendered text and the ranges [start, end) of the assistant's turns.

    Taken from {% generation %} marks where the template has them; otherwise from what a turn adds to the rendering of
    the turns before it; otherwise, where a template rewrites earlier turns, from the place its content stands at.
    Ranges may reach past the end-of-turn token or stop short of it; `encode` ends them there. Raises BadInput when the
    template refuses.
    """
    rendered = template.render(messages, tools=tools)
    if template.marks_generation:
        return rendered.text, list(rendered.spans)
    spans: list[Span] = []
    cursor = 0
    for index, message in enumerate(messages):
        if speaks(message):
            span = _turn(template, messages, index, rendered.text, cursor, tools)
        else:
            span = None
            cursor = _past(message, rendered.text, cursor)
        if span:
            spans.append(span)
            cursor = span[1]
    return rendered.text, spans


def speaks(message: Message) -> bool:
    """Whether this is an assistant's turn with something in it."""
    return message["role"] == "assistant" and bool(message.get("tool_calls") or _content(message))


def _turn(
    template: ChatTemplate, messages: Sequence[Message], index: int, text: str, cursor: int, tools: Any
) -> Span | None:
    last = index + 1 == len(messages)
    try:
        before = template.render(messages[:index], True, tools).text if index else None
        after = text if last else template.render(messages[: index + 1], tools=tools).text
    except BadInput:
        return _locate(messages[index], text, cursor)
    if before is None or not text.startswith(before):
        return _locate(messages[index], text, cursor)
    start, end = len(before), _common(after, text)
    if end <= start or _content(messages[index]) not in text[start:end]:
        return _locate(messages[index], text, start)
    return start, end


def _common(one: str, other: str) -> int:
    """Length of the common beginning, by bisection: comparing slices runs at the speed of memory."""
    if other.startswith(one):
        return len(one)
    low, high = 0, min(len(one), len(other))
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if one[low:middle] == other[low:middle] else (low, middle - 1)
    return low


def _locate(message: Message, text: str, cursor: int) -> Span | None:
    """The content's own place, from `cursor` on."""
    whole, content = str(message.get("content", "")), _content(message)
    for wanted in (whole, content):
        if wanted.strip() and (start := text.find(wanted, cursor)) >= 0:
            return start, start + len(wanted)
    return None


def _past(message: Message, text: str, cursor: int) -> int:
    """Behind the content of a turn that is not trained, so that the same words are not found in it later."""
    content = _content(message)
    found = text.find(content, cursor)
    return cursor if found < 0 else found + len(content)


def _content(message: Message) -> str:
    """What of a message survives every template: reasoning is dropped by many, white space by most."""
    content = message.get("content")
    return content.split("</think>")[-1].strip() if isinstance(content, str) else ""
