"""What a chat template may spend: a stranger's loop must not hold the engine for ever, nor its texts fill the memory.

Time is looked at in every turn of a loop and at every call; what a single operation could make is reckoned before it
is made, since nothing interrupts that. A text that grows in other ways (a list that holds a long one many times,
printed) is found once it is there.
"""

import re
import time
import types
from collections.abc import Callable, Iterable
from functools import wraps
from typing import Any

import jinja2
import jinja2.nodes
import jinja2.sandbox
import jinja2.visitor

from loralab_core.errors import BadInput
from loralab_core.text.errors import TemplateOverspent

SECONDS = 3.0  # of processor time for one rendering; a real one takes milliseconds
LARGEST = 1 << 24  # characters of a text, items of a list
BITS = 1 << 12  # of a whole number
BUDGET = "loralab_budget"  # the variable of a rendering that holds its Budget

_SPEND, _JOIN = "loralab_spend", "loralab_join"
_LOOKED_AT_EVERY = 32  # asking for the time takes longer than a turn of an empty loop
_GROWING_FILTERS = ("batch", "center", "format", "indent", "join", "replace", "slice", "sum", "wordwrap")
_COUNTING = {"center", "ljust", "rjust", "zfill", "expandtabs", "wordwrap", "batch", "slice", "to_bytes"}
_ITEMS = 1 << 16  # lines that JSON may have, where nobody has counted
_WIDTH = re.compile(r"\d{6}")


class Budget:
    """Of one rendering, which happens in one thread."""

    def __init__(self, seconds: float = SECONDS) -> None:
        self._seconds, self._until = seconds, time.thread_time() + seconds
        self._turns = 0

    def spend(self) -> None:
        self._turns += 1
        if self._turns % _LOOKED_AT_EVERY == 0 and time.thread_time() > self._until:
            raise TemplateOverspent(
                f"the model's chat template was stopped: it had not come to an end after {self._seconds:g} seconds; "
                "give the model another chat_template.jinja"
            )


class BoundedEnvironment(jinja2.sandbox.ImmutableSandboxedEnvironment):
    """The immutable sandbox, within the limits above. What is rendered needs the variable BUDGET.

    Raises TemplateOverspent for time, which the next conversation would take too, and BadInput for size.
    """

    intercepted_binops = frozenset({"+", "*", "**", "%"})

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        for slow, where in (("lipsum", self.globals), ("urlize", self.filters), ("striptags", self.filters)):
            del where[slow]
        self.filters |= {name: bounded(name, self.filters[name]) for name in _GROWING_FILTERS}
        self.filters |= {_SPEND: _spend, _JOIN: _join}
        self.concat = _join_texts  # type: ignore[method-assign]  # what macros and blocks put their text together with

    def _generate(self, source: jinja2.nodes.Template, *place: Any, **options: Any) -> str:
        return super()._generate(_Bounds(self).visit(source), *place, **options)

    def call_binop(self, context: jinja2.runtime.Context, operator: str, left: Any, right: Any) -> Any:
        if operator == "+" and type(left) is str and type(right) is str:  # most of them
            if len(left) + len(right) > LARGEST:
                raise too_large()
            return left + right
        _check_operands(operator, left, right)
        return super().call_binop(context, operator, left, right)

    def call_filter(
        self, name: str, value: Any, args: Any = None, kwargs: Any = None, context: Any = None, *more: Any
    ) -> Any:
        """What `map` does to each item."""
        _spend(context)
        return super().call_filter(name, value, args, kwargs, context, *more)

    def call_test(
        self, name: str, value: Any, args: Any = None, kwargs: Any = None, context: Any = None, *more: Any
    ) -> Any:
        """What `select` asks of each item."""
        _spend(context)
        return super().call_test(name, value, args, kwargs, context, *more)

    def call(__self, __context: Any, __called: Any, *args: Any, **kwargs: Any) -> Any:  # noqa: B902
        __context.parent[BUDGET].spend()
        method = getattr(__called, "__wrapped__", __called)  # the sandbox wraps str.format
        if isinstance(method, types.BuiltinMethodType):
            if method.__name__ == "join":
                args = tuple(map(list, args))  # a generator is gone once it was looked at
            _check_call(method.__name__, method.__self__, (*args, *kwargs.values()))
        return super().call(__context, __called, *args, **kwargs)


class _Bounds(jinja2.visitor.NodeTransformer):
    """Each turn of a loop spends, and `~` joins within the limits."""

    def __init__(self, environment: jinja2.Environment) -> None:
        self.environment = environment

    def visit_For(self, node: jinja2.nodes.For) -> jinja2.nodes.Node:
        self.generic_visit(node)
        turn = jinja2.nodes.Filter(jinja2.nodes.Const(None), _SPEND, [], [], None, None)
        node.body.insert(0, jinja2.nodes.ExprStmt(turn, lineno=node.lineno).set_environment(self.environment))
        return node

    def visit_Concat(self, node: jinja2.nodes.Concat) -> jinja2.nodes.Node:
        self.generic_visit(node)
        parts = jinja2.nodes.Tuple(node.nodes, "load")
        joined = jinja2.nodes.Filter(parts, _JOIN, [], [], None, None, lineno=node.lineno)
        return joined.set_environment(self.environment)


@jinja2.pass_context
def _spend(context: jinja2.runtime.Context | None, nothing: None = None) -> None:
    if context:
        context.parent[BUDGET].spend()


def _join(parts: Iterable[Any]) -> str:
    return _join_texts(map(str, parts))


def _join_texts(parts: Iterable[str]) -> str:
    texts = list(parts)
    _check_size(sum(map(len, texts)))
    return "".join(texts)


def bounded(name: str, made: Callable[..., Any]) -> Callable[..., Any]:
    """A filter whose result is reckoned first."""
    skipped = int(hasattr(made, "jinja_pass_arg"))  # the context, or what stands for it

    @wraps(made)
    def checked(*args: Any, **kwargs: Any) -> Any:
        value, *others = args[skipped:]
        if name in ("batch", "slice", "join", "sum"):
            value = list(value)
        if name == "join":
            _check_call(name, others[0] if others else kwargs.get("d", ""), (value,))
        else:
            _check_call(name, value, (*others, *kwargs.values()))
        return made(*args[:skipped], value, *others, **kwargs)

    return checked


def _check_operands(operator: str, left: Any, right: Any) -> None:
    if operator == "%" and isinstance(left, str):
        _check_call("format", left, right if isinstance(right, tuple) else (right,))
    elif operator == "+":
        _check_size(_size(left) + _size(right))
    elif operator == "*":
        _check_size(max(_size(left) * _count(right), _size(right) * _count(left)))
        _check_bits(_bits(left) + _bits(right))
    elif operator == "**":
        _check_bits(_bits(left) * _count(right))


def _check_call(name: str, value: Any, others: tuple[Any, ...]) -> None:
    """`value.name(*others)`, or `value | name(*others)`."""
    if name in _COUNTING:
        _check_size(max(map(_count, others), default=0))
    if name == "replace":
        old, new = map(str, others[:2])
        _check_size(_size(value) + str(value).count(old) * max(0, len(new) - len(old)))
    elif name == "join":
        parts = others[0]
        _check_size(sum(map(_size, parts)) + len(parts) * _size(value))
    elif name == "sum":
        _check_size(sum(map(_size, value)))
    elif name in ("tojson", "indent"):
        width = max((max(_count(other), _size(other)) for other in others), default=0)
        _check_size(width * max(_size(value), _ITEMS))
    elif name in ("format", "format_map", "translate"):
        _check_size(_size(value) * max(map(_size, others), default=0))
        _check_widths(name, value, others)


def _check_widths(name: str, pattern: Any, others: tuple[Any, ...]) -> None:
    """`%999999999d`, and widths that are among the values: `%*d`, `{:{}}`."""
    if name.startswith("format") and isinstance(pattern, str):
        if _WIDTH.search(pattern):
            raise too_large()
        if "*" in pattern or re.search(r"\{[^}]*\{", pattern):
            _check_size(max(map(_count, others), default=0))


def _size(value: Any) -> int:
    return len(value) if isinstance(value, (str, bytes, list, tuple, dict)) else 0


def _count(value: Any) -> int:
    return value if isinstance(value, int) else 0


def _bits(value: Any) -> int:
    return value.bit_length() if isinstance(value, int) else 0


def _check_size(size: int) -> None:
    if size > LARGEST:
        raise too_large()


def _check_bits(bits: int) -> None:
    if bits > BITS:
        raise too_large()


def too_large() -> BadInput:
    """What is raised for something beyond LARGEST."""
    return BadInput(
        f"the model's chat template was stopped: it makes something larger than {LARGEST:,} characters; shorten the "
        "conversation, or give the model another chat_template.jinja"
    )
