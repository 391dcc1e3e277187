"""A system message for every model: where its template has no place for one, it goes before the first question."""

from collections.abc import Sequence
from functools import partial
from typing import Any

from loralab_core.errors import BadInput
from loralab_core.text.chat_template import Rendered
from loralab_core.text.tokenizer import Tokenizer
from loralab_core.text.turns import Message, as_texts


def render_question(
    tokenizer: Tokenizer, messages: Sequence[Message], continue_final_message: bool = False, tools: Any = None
) -> Rendered:
    """The conversation as the model reads it before it answers, or goes on with the last message.

    Raises BadInput with the template's objection, or for what is no text. Templates without a system turn refuse one,
    or leave it out without a word; those without tools do the latter.
    """
    messages = as_texts(messages)
    if tools is not None and "tools" not in tokenizer.template(tools).source:
        raise BadInput("the model's chat template has no place for tools; describe them in a system message instead")
    asked = partial(
        tokenizer.render_marked,
        add_generation_prompt=not continue_final_message,
        continue_final_message=continue_final_message,
        tools=tools,
    )
    system = _system(messages)
    if not system:
        return asked(messages)
    try:
        rendered = asked(messages)
    except BadInput:
        rendered = Rendered("")
    return rendered if system in rendered.text else asked(_folded(system, messages[1:]))


def _system(messages: Sequence[Message]) -> str:
    first = messages[0] if messages else {}
    content = first.get("content") if first.get("role") == "system" else None
    return content.strip() if isinstance(content, str) else ""


def _folded(system: str, rest: Sequence[Message]) -> list[Message]:
    if not rest or rest[0].get("role") != "user":
        return [{"role": "user", "content": system}, *rest]
    return [{**rest[0], "content": f"{system}\n\n{rest[0].get('content') or ''}"}, *rest[1:]]
