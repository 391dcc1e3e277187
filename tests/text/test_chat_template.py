"""Chat templates render to the bytes transformers renders, marks and objections included."""

from collections.abc import Callable
from pathlib import Path

import pytest

from loralab_core.errors import BadInput
from loralab_core.text.chat_template import ChatTemplate
from loralab_core.text.tokenizer import Tokenizer
from tests.text.helpers import (
    CONVERSATIONS,
    MANY_TURNS,
    MARKED,
    ONE_TURN,
    TEMPLATES,
    TOKENIZERS,
    TOOL_TURNS,
    TOOLS,
    oracle_tokenizer,
)


def _either(render: Callable[[], str]) -> str | None:
    """What is rendered, or None for a refusal, whatever its type."""
    try:
        return render()
    except Exception:
        return None


@pytest.mark.parametrize("prompt", [False, True])
@pytest.mark.parametrize("conversation", CONVERSATIONS)
@pytest.mark.parametrize("template", TEMPLATES)
def test_every_template_renders_as_in_transformers(
    fixtures_dir: Path, load_with_template, oracle, template: str, conversation: str, prompt: bool
) -> None:
    source = (fixtures_dir / "chat_templates" / template).read_text(encoding="utf-8")
    messages = CONVERSATIONS[conversation]
    ours = load_with_template("tokenizers/tinyllama-1.1b-chat", template)
    expected = _either(
        lambda: oracle.apply_chat_template(messages, chat_template=source, tokenize=False, add_generation_prompt=prompt)
    )
    assert _either(lambda: ours.render_chat(messages, prompt)) == expected
    if conversation in ("question", "one turn", "many turns"):
        assert expected


@pytest.fixture(scope="module")
def oracle(fixtures_dir: Path):
    return oracle_tokenizer(fixtures_dir / "tokenizers/tinyllama-1.1b-chat")


@pytest.mark.parametrize("template", TEMPLATES)
def test_tools_render_as_in_transformers(fixtures_dir, load_with_template, oracle, template: str) -> None:
    source = (fixtures_dir / "chat_templates" / template).read_text(encoding="utf-8")
    ours = load_with_template("tokenizers/tinyllama-1.1b-chat", template)
    expected = _either(
        lambda: oracle.apply_chat_template(TOOL_TURNS, tools=TOOLS, chat_template=source, tokenize=False)
    )
    assert _either(lambda: ours.render_chat(TOOL_TURNS, tools=TOOLS)) == expected


@pytest.mark.parametrize("name", TOKENIZERS)
def test_every_tokenizers_own_template_renders_as_in_transformers(fixtures_dir, load_tokenizer, name: str) -> None:
    ours, oracle = load_tokenizer(name), oracle_tokenizer(fixtures_dir / name)
    assert ours.has_template == bool(oracle.chat_template)
    if not ours.has_template:
        assert "plain" in ours.template_note
        return
    for messages in CONVERSATIONS.values():
        for prompt in (False, True):
            expected = _either(
                lambda m=messages, p=prompt: oracle.apply_chat_template(m, tokenize=False, add_generation_prompt=p)
            )
            assert _either(lambda m=messages, p=prompt: ours.render_chat(m, p)) == expected
            if expected:
                ids = oracle.apply_chat_template(messages, add_generation_prompt=prompt)["input_ids"]
                assert ours.encode_chat(messages, prompt) == list(ids)


@pytest.mark.parametrize("template", MARKED)
def test_generation_marks_lie_where_transformers_finds_them(fixtures_dir, load_with_template, template: str) -> None:
    from transformers.utils.chat_template_utils import render_jinja_template

    source = (fixtures_dir / "chat_templates" / template).read_text(encoding="utf-8")
    ours = load_with_template("tokenizers/tinyllama-1.1b-chat", template)
    texts, spans = render_jinja_template(
        [MANY_TURNS], chat_template=source, return_assistant_tokens_mask=True, **ours.special
    )
    rendered = ours.render_marked(MANY_TURNS)
    assert rendered.text == texts[0]
    assert list(rendered.spans) == [tuple(span) for span in spans[0]]
    assert rendered.spans


def test_a_templates_own_objection_reaches_the_user() -> None:
    template = ChatTemplate("{{ raise_exception('Only cats may speak') }}", {})
    with pytest.raises(BadInput, match="Only cats may speak"):
        template.render(ONE_TURN)


def test_a_broken_template_names_its_line() -> None:
    with pytest.raises(BadInput, match="line 2"):
        ChatTemplate("{{ bos_token }}\n{% for %}", {})


@pytest.mark.parametrize(
    "source",
    [
        "{{ ''.__class__.__mro__ }}",
        "{{ messages.append(1) }}",
        "{{ namespace(__class__=1) }}",
        "{{ dict.__class__.__mro__ }}",
        "{% set ns = namespace() %}{% set ns.__init__ = 1 %}",
        "{{ cycler.__init__.__globals__.os.listdir('/') }}",
    ],
)
def test_templates_cannot_leave_the_sandbox(source: str) -> None:
    with pytest.raises(BadInput):
        ChatTemplate(source, {}).render(ONE_TURN)


def test_a_prompt_in_the_plain_template_is_the_beginning_of_the_whole_conversation(plain: Tokenizer) -> None:
    whole = plain.render_chat(MANY_TURNS)
    assert whole.startswith(plain.render_chat(MANY_TURNS[:3], add_generation_prompt=True))
    assert whole.count("<s>") == 1
    assert whole.count("</s>") == 2


def test_named_templates_are_chosen_as_in_transformers(tmp_path: Path, fixtures_dir: Path) -> None:
    import json

    source = fixtures_dir / "tokenizers/smollm2-instruct"
    (tmp_path / "tokenizer.json").symlink_to(source / "tokenizer.json")
    config = json.loads((source / "tokenizer_config.json").read_text())
    config["chat_template"] = [{"name": "default", "template": "D"}, {"name": "tool_use", "template": "T"}]
    (tmp_path / "tokenizer_config.json").write_text(json.dumps(config))
    tokenizer = Tokenizer.load(tmp_path)
    assert tokenizer.render_chat(ONE_TURN) == "D"
    assert tokenizer.render_chat(ONE_TURN, tools=TOOLS) == "T"
