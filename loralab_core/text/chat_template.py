"""Chat templates, rendered in jinja2's sandbox to the same bytes transformers renders.

Templates come from the Hub and are code by strangers: the environment is the immutable sandbox, a namespace refuses
names that begin with an underscore, a template only ever sees plain JSON values, and what it may spend is limited.
"""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import lru_cache
from typing import Any

import jinja2
import jinja2.ext
import jinja2.nodes
import jinja2.parser
import jinja2.utils

from loralab_core.errors import BadInput, LoraLabError, first_line
from loralab_core.text.template_limits import BUDGET, LARGEST, BoundedEnvironment, Budget, bounded, too_large
from loralab_core.text.turns import Message

# Each turn begins on its own line, so that a prompt ends in a newline rather than in a space that would have to merge
# with the first word of the answer.
PLAIN_TEMPLATE = (
    "{{ bos }}{% for message in messages %}"
    "{% if message['role'] == 'assistant' %}{{ 'Assistant:\\n' }}"
    "{% generation %}{{ message['content'] }}"
    "{% for call in message.tool_calls %}{{ call.function | tojson }}{% endfor %}"
    "{{ eos_token }}{% endgeneration %}{{ '\\n\\n' }}"
    "{% elif message['role'] == 'system' %}{{ message['content'] + '\\n\\n' }}"
    "{% elif message['role'] == 'user' %}{{ 'User:\\n' + message['content'] + '\\n\\n' }}"
    "{% else %}{{ message['role'] | capitalize + ':\\n' + message['content'] + '\\n\\n' }}{% endif %}"
    "{% endfor %}{% if add_generation_prompt %}{{ 'Assistant:\\n' }}{% endif %}"
)


@dataclass(frozen=True)
class Rendered:
    """A conversation as text. `spans`: character ranges [start, end) inside {% generation %} marks, in order.

    `literals`: where what looks like a special token is a message's text.
    """

    text: str
    spans: tuple[tuple[int, int], ...] = ()
    literals: tuple[int, ...] = ()


@dataclass
class _Tracker:
    blocks: list[str] = field(default_factory=list)
    spans: list[tuple[int, int]] = field(default_factory=list)
    length: int = 0  # characters rendered before the block that is being made


class ChatTemplate:
    """One compiled template; threads may share it."""

    def __init__(self, source: str, variables: dict[str, str]) -> None:
        """`variables`: the special tokens a template may name (bos_token, eos_token, …). BadInput on a syntax error."""
        self.source = source
        self.variables = variables
        self._compiled = _compile(source)
        self.marks_generation = "generation" in _tags(source)

    def render(self, messages: Sequence[Message], add_generation_prompt: bool = False, tools: Any = None) -> Rendered:
        """Render `messages`; BadInput carries the template's own objection to them.

        TemplateOverspent where it does not come to an end.
        """
        if not messages:
            raise BadInput("a conversation needs at least one message")
        tracker = _Tracker()
        values = {**self.variables, "messages": _plain_messages(messages), "tools": _plain(tools), "documents": None}
        values |= {"add_generation_prompt": add_generation_prompt, _TRACKER: tracker, BUDGET: Budget()}
        try:
            for block in self._compiled.generate(**values):
                tracker.blocks.append(block)
                tracker.length += len(block)
                if tracker.length > LARGEST:
                    raise too_large()
        except LoraLabError:
            raise
        except Exception as error:  # a template is a stranger's program: it may fail in any way
            raise BadInput(f"the model's chat template refuses this conversation: {error}") from None
        return Rendered("".join(tracker.blocks), tuple(tracker.spans))


_TRACKER = "loralab_generation_tracker"


class _GenerationMarks(jinja2.ext.Extension):
    """`{% generation %} … {% endgeneration %}`: notes where its text lies in the output."""

    tags = {"generation"}

    def parse(self, parser: jinja2.parser.Parser) -> jinja2.nodes.Node:
        line = next(parser.stream).lineno
        body = parser.parse_statements(("name:endgeneration",), drop_needle=True)
        tracker = jinja2.nodes.Name(_TRACKER, "load")
        return jinja2.nodes.CallBlock(self.call_method("_mark", [tracker]), [], [], body).set_lineno(line)

    def _mark(self, tracker: _Tracker, caller: Callable[[], str]) -> str:
        text = caller()
        tracker.spans.append((tracker.length, tracker.length + len(text)))
        return text


class _Namespace(jinja2.utils.Namespace):
    def __init__(*args: Any, **kwargs: Any) -> None:
        for name in dict(*args[1:], **kwargs):
            _refuse_private(name)
        jinja2.utils.Namespace.__init__(*args, **kwargs)

    def __setitem__(self, name: str, value: Any) -> None:
        _refuse_private(name)
        super().__setitem__(name, value)


def _refuse_private(name: object) -> None:
    if isinstance(name, str) and name.startswith("_"):
        raise jinja2.exceptions.SecurityError(f"a namespace cannot hold {name!r}")


class _Dict:
    """The `dict` a template may call, without the class behind it."""

    def __call__(self, *args: Any, **kwargs: Any) -> dict[Any, Any]:
        return dict(*args, **kwargs)

    def fromkeys(self, *args: Any) -> dict[Any, Any]:
        return dict.fromkeys(*args)


def _raise_exception(message: str) -> None:
    raise jinja2.TemplateError(message)


def _to_json(
    value: Any, ensure_ascii: bool = False, indent: Any = None, separators: Any = None, sort_keys: bool = False
) -> str:
    return json.dumps(value, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys)


def _strftime_now(pattern: str) -> str:
    return datetime.now().strftime(pattern)


@lru_cache(1)
def _environment() -> BoundedEnvironment:
    environment = BoundedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=[_GenerationMarks, jinja2.ext.loopcontrols]
    )
    environment.filters["tojson"] = bounded("tojson", _to_json)
    environment.globals.update(
        raise_exception=_raise_exception, strftime_now=_strftime_now, namespace=_Namespace, dict=_Dict()
    )
    return environment


@lru_cache(32)
def _compile(source: str) -> jinja2.Template:
    try:
        return _environment().from_string(source)
    except jinja2.TemplateSyntaxError as error:
        raise BadInput(f"the model's chat template has an error in line {error.lineno}: {error.message}") from None
    except Exception as error:  # Python, which it becomes, has limits of its own, such as 20 loops within each other
        raise BadInput(f"the model's chat template cannot be read: {first_line(error)}") from None


def _tags(source: str) -> set[str]:
    """The words that open a block statement somewhere in `source`."""
    tokens = [(kind, value) for _, kind, value in _environment().lex(source) if kind != "whitespace"]
    return {
        value
        for (before, _), (kind, value) in zip(tokens, tokens[1:], strict=False)
        if before == "block_begin" and kind == "name"
    }


def _plain_messages(messages: Sequence[Message]) -> list[Message]:
    """Copies without None fields: many templates print "None" where they meet one instead of a missing key."""
    return [
        _with_reasoning({key: _plain(value) for key, value in message.items() if value is not None})
        for message in messages
    ]


def _with_reasoning(message: Message) -> Message:
    """Reasoning goes by three names in data; templates read `reasoning_content` or `thinking`."""
    for name in ("reasoning_content", "thinking", "reasoning"):
        if name in message:
            return {"thinking": message[name], **message, "reasoning_content": message[name]}
    return message


def _plain(value: Any) -> Any:
    """Rebuild from plain JSON types; anything else has methods a sandbox cannot judge."""
    if value is None or type(value) in (str, int, float, bool):
        return value
    if isinstance(value, dict):
        return {_plain(key): _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    return str(value)
