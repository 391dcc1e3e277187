"""A system message reaches every model, also one whose template knows none."""

import pytest

from loralab_core.errors import BadInput
from loralab_core.text.system_turn import render_question
from tests.text.helpers import TOKENIZERS

SYSTEM = {"role": "system", "content": "You are a pirate."}
TALK = [
    {"role": "user", "content": "Who goes?"},
    {"role": "assistant", "content": "I."},
    {"role": "user", "content": "So?"},
]

REFUSES = (
    "{% for message in messages %}{% if message.role == 'system' %}{{ raise_exception('System role not supported') }}"
    "{% endif %}<{{ message.role }}>{{ message.content }}{% endfor %}"
)


@pytest.mark.parametrize("name", TOKENIZERS)
def test_it_is_in_the_text_once_and_the_rest_as_without(load_tokenizer, name: str) -> None:
    tokenizer = load_tokenizer(name)
    text = render_question(tokenizer, [SYSTEM, *TALK]).text
    assert text.count("You are a pirate.") == 1
    assert text.index("pirate") < text.index("Who goes?") < text.index("So?")
    assert render_question(tokenizer, TALK).text == tokenizer.render_chat(TALK, add_generation_prompt=True)


def test_a_template_that_would_drop_it_gets_it_with_the_question(load_tokenizer) -> None:
    tokenizer = load_tokenizer("tokenizers/phi-3-mini")
    assert "pirate" not in tokenizer.render_chat([SYSTEM, *TALK])
    assert "You are a pirate.\n\nWho goes?" in render_question(tokenizer, [SYSTEM, *TALK]).text


def test_a_template_that_refuses_it_gets_it_with_the_question(with_template) -> None:
    from loralab_core.text.tokenizer import Tokenizer

    tokenizer = Tokenizer.load(with_template("tokenizers/tinyllama-1.1b-chat", REFUSES))
    with pytest.raises(BadInput, match="System role not supported"):
        tokenizer.render_chat([SYSTEM, *TALK])
    asked = render_question(tokenizer, [SYSTEM, *TALK]).text
    assert asked == "<user>You are a pirate.\n\nWho goes?<assistant>I.<user>So?"
    with pytest.raises(BadInput, match="System role not supported"):  # the second one is the user's own
        render_question(tokenizer, [SYSTEM, *TALK, SYSTEM])


def test_tools_are_written_as_the_template_writes_them(load_tokenizer) -> None:
    tokenizer = load_tokenizer("tokenizers/qwen2.5-0.5b-instruct")
    tools = [{"type": "function", "function": {"name": "weather", "parameters": {}}}]
    text = render_question(tokenizer, TALK, tools=tools).text
    assert text == tokenizer.render_chat(TALK, add_generation_prompt=True, tools=tools) and '"weather"' in text


def test_a_content_of_several_texts_is_one_text(load_tokenizer) -> None:
    tokenizer = load_tokenizer("tokenizers/qwen2.5-0.5b-instruct")
    parts = [{"role": "user", "content": [{"type": "text", "text": "one, "}, {"type": "text", "text": "two"}]}]
    whole = [{"role": "user", "content": "one, two"}]
    assert render_question(tokenizer, parts).text == render_question(tokenizer, whole).text


@pytest.mark.parametrize(
    ("message", "said"),
    [
        (
            {"role": "user", "content": [{"type": "image", "url": "cat.png"}]},
            r"message 2 holds what is no text \(image\)",
        ),
        ({"role": "user", "content": 3}, "message 2 has no text"),
        ({"role": "user"}, "message 2 has no text"),
        ({"role": 3, "content": "a"}, "message 2 has no role"),
    ],
)
def test_what_is_no_text_is_refused(load_tokenizer, message: dict, said: str) -> None:
    with pytest.raises(BadInput, match=said):
        render_question(load_tokenizer("tokenizers/smollm2-instruct"), [TALK[0], message])
