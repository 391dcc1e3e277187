"""A template that would never end, or fill the memory, is stopped; what real ones do is not touched."""

import pytest

from loralab_core.errors import BadInput
from loralab_core.text.chat_template import ChatTemplate
from loralab_core.text.errors import TemplateOverspent
from loralab_core.text.template_limits import BUDGET, BoundedEnvironment, Budget
from loralab_core.text.tokenizer import Tokenizer

ASKED = [{"role": "user", "content": "hello"}]
THOUSANDS = "{% set many = range(100000) | list %}"
DOUBLED = "{{% set n = namespace(s='aaaa') %}}{{% for i in range(60) %}}{}{{% endfor %}}"

ENDLESS = {
    "loops": THOUSANDS
    + "{% for a in many %}{% for b in many %}{% for c in many %}{% endfor %}{% endfor %}{% endfor %}",
    "macro": "{% macro f(n) %}{% if n %}{{ f(n - 1) }}{{ f(n - 1) }}{% endif %}{% endmacro %}{{ f(100) }}",
    "map": "{% set s = 'a' * 1000000 %}{{ ([s] * 1000000) | map('upper') | select('in', s) | list }}",
}
LARGE = {
    "times": "{{ 'a' * 10 ** 11 }}",
    "power": "{{ (9 ** 9) ** (9 ** 9) }}",
    "tilde": DOUBLED.format("{% set n.s = n.s ~ n.s %}"),
    "plus": DOUBLED.format("{% set n.s = n.s + n.s %}"),
    "block": DOUBLED.format("{% set s %}{{ n.s }}{{ n.s }}{% endset %}{% set n.s = s %}"),
    "output": "{% set s = 'a' * 1000000 %}{% for i in range(100000) %}{{ s }}{% endfor %}",
    "method": "{{ 'a'.ljust(10 ** 11) }}",
    "filter": "{{ 'a' | center(10 ** 11) }}",
    "percent": "{{ '%99999999999d' % 1 }}",
    "star": "{{ '%*d' % (99999999999, 1) }}",
    "format": "{{ '{:{}}'.format(1, 99999999999) }}",
    "join": "{{ ('a' * 1000000).join(range(100000) | map('string')) }}",
    "join filter": "{{ range(100000) | map('string') | join('a' * 1000000) }}",
    "replace": "{{ ('a' * 1000000).replace('a', 'b' * 1000000) }}",
    "indent": "{{ [1] | tojson(indent=10 ** 11) }}",
    "slices": "{{ [1] | slice(10 ** 11) | list }}",
}


@pytest.mark.parametrize("source", ENDLESS.values(), ids=ENDLESS)
def test_what_never_ends_is_stopped(source: str) -> None:
    with pytest.raises(TemplateOverspent, match="not come to an end"):
        BoundedEnvironment().from_string(source).render({BUDGET: Budget(0.05)})


def test_a_model_whose_template_never_ends_goes_on_with_texts_and_refuses_chats(with_template, monkeypatch) -> None:
    monkeypatch.setattr("loralab_core.text.chat_template.Budget", lambda: Budget(0.2))  # of the seconds it has
    tokenizer = Tokenizer.load(with_template("tokenizers/tinyllama-1.1b-chat", ENDLESS["loops"]))
    assert tokenizer.eos_ids == (2,) and not tokenizer.ends_turns
    with pytest.raises(TemplateOverspent):  # no BadInput, after which a corpus' next row would be tried
        tokenizer.render_chat(ASKED)


@pytest.mark.parametrize("source", LARGE.values(), ids=LARGE)
def test_what_would_fill_the_memory_is_refused_before_it_is_made(source: str) -> None:
    with pytest.raises(BadInput, match="something larger than"):
        ChatTemplate(source, {}).render(ASKED)


@pytest.mark.parametrize(
    "source",
    [
        "{% for a in [1] %}" * 30 + "{% endfor %}" * 30,
        "{{" + "(" * 3000 + "1" + ")" * 3000 + "}}",
        "{{ 'never closed",
    ],
    ids=["loops within loops", "parentheses", "quote"],
)
def test_a_template_that_cannot_be_compiled_is_refused(source: str) -> None:
    with pytest.raises(BadInput, match="the model's chat template"):
        ChatTemplate(source, {})


def test_what_templates_do_is_what_jinja_makes_of_it() -> None:
    source = (
        "{{ '%s %05d' % ('a', 7) }} {{ ['a', 'b'] | join(', ') }} {{ 'x' ~ 1 ~ none }} {{ 'a-b'.replace('-', '+') }} "
        "{{ [{'a': 'p'}, {'a': 'q'}] | join('/', attribute='a') }} {{ '-'.join(['a', 'b'] | map('upper')) }} "
        "{{ '{}'.format(1234567890123) }} {{ {}.get('x', 10 ** 12) }} {{ [1] + [2] }} {{ [1, 2] | sum }} "
        "{% for a in range(9) %}{% if a == 3 %}{% break %}{% endif %}{{ a }}{{ loop.last }}{% endfor %}"
    )
    expected = "a 00007 a, b x1None a+b p/q A-B 1234567890123 1000000000000 [1, 2] 3 0False1False2False"
    assert ChatTemplate(source, {}).render(ASKED).text == expected
