"""A system message for every model: where its template has no place for one, it goes before the first question."""

from collections.abc import Sequence

from loralab_core.errors import BadInput
from loralab_core.text.tokenizer import Tokenizer
from loralab_core.text.turns import Message


def render_question(tokenizer: Tokenizer, messages: Sequence[Message]) -> str:
    """The conversation as the model reads it before it answers. Raises BadInput with the template's objection.

    Templates without a system turn refuse one, or leave it out without a word.
    """
    system = _system(messages)
    if not system:
        return tokenizer.render_chat(messages, add_generation_prompt=True)
    try:
        text = tokenizer.render_chat(messages, add_generation_prompt=True)
    except BadInput:
        text = ""
    return text if system in text else tokenizer.render_chat(_folded(system, messages[1:]), add_generation_prompt=True)


def _system(messages: Sequence[Message]) -> str:
    first = messages[0] if messages else {}
    content = first.get("content") if first.get("role") == "system" else None
    return content.strip() if isinstance(content, str) else ""


def _folded(system: str, rest: Sequence[Message]) -> list[Message]:
    if not rest or rest[0].get("role") != "user":
        return [{"role": "user", "content": system}, *rest]
    return [{**rest[0], "content": f"{system}\n\n{rest[0].get('content') or ''}"}, *rest[1:]]
