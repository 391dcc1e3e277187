"""Every template and feature of one, over every kind of conversation: the text of transformers, or its refusal."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from loralab_core.errors import BadInput
from loralab_core.text.chat_template import ChatTemplate
from loralab_core.text.tokenizer import Tokenizer
from tests.text.conversations import EVERY, TOOL_LISTS, user
from tests.text.helpers import FIXTURES, ONE_TURN, TEMPLATES, TOOLS, oracle_tokenizer

TOKENIZER = "tokenizers/tinyllama-1.1b-chat"
FEATURES = {
    "the date": "{{ strftime_now('%d %B %Y') }}{{ messages[0].content }}",
    "namespace and loop controls": "{% set ns = namespace(n=1) %}{% for m in messages %}{% set ns.n = ns.n + 1 %}"
    "{% if loop.last %}{% break %}{% endif %}{% continue %}{% endfor %}{{ ns.n }}",
    "dict": "{{ dict(a=1) | tojson }}{{ dict.fromkeys('ab') | tojson }}",
    "tojson": "{{ messages | tojson(indent=2) }}{{ tools | tojson(sort_keys=true, separators=(',', ':')) }}",
    "special tokens": "{{ bos_token }}|{{ eos_token }}|{{ unk_token }}|{{ pad_token }}|{{ sep_token }}",
    "what is given": "{{ documents }}{{ tools is none }}{{ add_generation_prompt }}{{ nothing }}{{ messages[0].none }}",
    "an undefined field's field": "{% if messages | length > 3 %}{{ messages[0].none.none }}{% endif %}fine",
    "methods": "{{ messages[0].items() | list }}{{ messages[0]['role'].upper() }}{{ messages[0].get('x', 'y') }}",
    "whole messages": "{{ messages[-1] }}{{ messages[1:] }}",
    "white space": "  {% if true %}\n x {%- endif %}\n\n{# c #}\n y\n",
    "macros and filters": "{% macro say(m) %}[{{ m.role | title }}: {{ m.content }}]{% endmacro %}"
    "{% for m in messages %}{{ say(m) }}{% endfor %}{{ messages | map(attribute='role') | join(',') }}",
}
OWN = {
    path.parent.name: template
    for path in sorted((FIXTURES / "tokenizers").glob("*/tokenizer_config.json"))
    if isinstance(template := json.loads(path.read_bytes()).get("chat_template"), str)
}
SOURCES = (
    {name: (FIXTURES / "chat_templates" / name).read_text(encoding="utf-8") for name in TEMPLATES} | OWN | FEATURES
)


def _either(render: Callable[[], Any]) -> Any:
    """What is rendered, or None for a refusal, whatever its type."""
    try:
        return render()
    except Exception:
        return None


@pytest.mark.parametrize("name", SOURCES)
def test_text_and_refusals_are_those_of_transformers(load_tokenizer, fixtures_dir: Path, name: str) -> None:
    source, rendered = SOURCES[name], 0
    oracle = oracle_tokenizer(fixtures_dir / TOKENIZER)
    ours = ChatTemplate(source, load_tokenizer(TOKENIZER).special)
    for kind, messages in EVERY.items():
        for given, tools in TOOL_LISTS.items():
            for prompt in (False, True):
                settings = {"tools": tools, "add_generation_prompt": prompt}
                expected = _either(
                    lambda m=messages, s=settings: oracle.apply_chat_template(
                        m, chat_template=source, tokenize=False, **s
                    )
                )
                found = _either(lambda m=messages, p=prompt, t=tools: ours.render(m, p, t).text)
                assert found == expected, (kind, given, prompt)
                rendered += expected is not None
    assert rendered > len(EVERY)


def test_a_conversation_of_nothing_is_refused() -> None:
    with pytest.raises(BadInput, match="at least one message"):
        ChatTemplate("{{ messages | length }}", {}).render([])


Layout = dict[str, Any]
LAYOUTS: dict[str, Layout] = {
    "string": {"config": "C"},
    "list": {"config": [{"name": "default", "template": "D"}, {"name": "tool_use", "template": "T"}]},
    "list without a default": {"config": [{"name": "rag", "template": "R"}, {"name": "tool_use", "template": "T"}]},
    "file": {"config": "C", "chat_template.jinja": "F\r\n{{ messages[0].content }}\n"},
    "file over a list": {"config": [{"name": "tool_use", "template": "T"}], "chat_template.jinja": "F"},
    "directory": {"config": "C", "additional_chat_templates/tool_use.jinja": "T"},
    "file and directory": {"chat_template.jinja": "F", "additional_chat_templates/tool_use.jinja": "T"},
    "directory with a default": {"config": "C", "additional_chat_templates/default.jinja": "A"},
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_templates_are_found_wherever_they_are_kept(tmp_path: Path, fixtures_dir: Path, layout: str) -> None:
    directory = _kept(tmp_path, fixtures_dir, LAYOUTS[layout])
    ours, oracle = Tokenizer.load(directory), oracle_tokenizer(directory)
    for tools in (None, TOOLS):
        expected = _either(lambda t=tools: oracle.apply_chat_template(ONE_TURN, tools=t, tokenize=False))
        assert _either(lambda t=tools: ours.render_chat(ONE_TURN, tools=t)) == expected
    assert ours.has_template


def _kept(directory: Path, fixtures: Path, layout: Layout) -> Path:
    source = fixtures / "models/stories3M"
    (directory / "tokenizer.json").symlink_to(source / "tokenizer.json")
    config = json.loads((source / "tokenizer_config.json").read_bytes())
    for name, content in layout.items():
        if name == "config":
            config["chat_template"] = content
        else:
            (directory / name).parent.mkdir(exist_ok=True)
            (directory / name).write_text(content, encoding="utf-8", newline="")
    (directory / "tokenizer_config.json").write_text(json.dumps(config))
    return directory


def test_the_file_of_processors_is_read_where_there_is_no_other(tmp_path: Path, fixtures_dir: Path) -> None:
    """transformers reads chat_template.json for processors alone; some repositories keep their only template there."""
    assert Tokenizer.load(_kept(tmp_path, fixtures_dir, {"chat_template.json": '{"chat_template": "P"}'})).render_chat(
        [user("a")]
    ) == ("P")


def test_entries_that_are_no_templates_are_passed_over(tmp_path: Path, fixtures_dir: Path) -> None:
    entries = [{"template": "nameless"}, {"name": "rag", "template": None}, "x", {"name": "default", "template": "D"}]
    assert Tokenizer.load(_kept(tmp_path, fixtures_dir, {"config": entries})).render_chat([user("a")]) == "D"
