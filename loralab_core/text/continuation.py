"""`continue_final_message`: a conversation that ends within its last message, for the model to go on with it."""

from collections.abc import Sequence
from typing import Any

from loralab_core.errors import BadInput
from loralab_core.text.chat_template import ChatTemplate
from loralab_core.text.turns import Message

_TAG = "CONTINUE_FINAL_MESSAGE_TAG "  # ends in a space, which tells whether the template trims what it is given


def render_continued(template: ChatTemplate, messages: Sequence[Message], tools: Any = None) -> str:
    """The text up to the end of the last message's content, as transformers cuts it.

    White space at the content's end is gone where the template trims. BadInput where there is no content to continue
    or the template does not write it out.
    """
    if not messages or messages[-1].get("content") is None or "content" not in template.source:
        raise BadInput("there is no message to continue: the conversation must end in one with text")
    content, tagged = _tagged(messages[-1]["content"])
    rendered = template.render([*messages[:-1], {**messages[-1], "content": tagged}], tools=tools).text
    place = rendered.rfind(_TAG.strip())
    if place < 0 or content.strip() not in rendered:
        raise BadInput("the last message cannot be continued: the model's chat template leaves out some of it")
    return rendered[:place] if rendered.startswith(_TAG, place) else rendered[:place].rstrip()


def _tagged(content: Any) -> tuple[str, Any]:
    """The text that is continued (of several parts, the last that has one), and the content with the tag behind it."""
    if isinstance(content, str):
        return content, content + _TAG
    for index in reversed(range(len(content) if isinstance(content, (list, tuple)) else 0)):
        part = content[index]
        if isinstance(part, dict) and isinstance(text := part.get("text"), str):
            return text, [*content[:index], {**part, "text": text + _TAG}, *content[index + 1 :]]
    raise BadInput("the last message has no text to continue")
