"""`continue_final_message` ends where it does in transformers, and is refused where it is there."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from loralab_core.errors import BadInput
from loralab_core.text.system_turn import render_question
from loralab_core.text.tokenizer import Tokenizer
from tests.text.helpers import ONE_TURN, SYSTEM, TEMPLATES, TOOL_TURNS, oracle_tokenizer

BEGUN: dict[str, list[dict[str, Any]]] = {
    "bare": [ONE_TURN[0], {"role": "assistant", "content": "Sure, the"}],
    "white space around": ONE_TURN,
    "ends a line": [SYSTEM, *ONE_TURN, ONE_TURN[0], {"role": "assistant", "content": "```python\n"}],
    "thought": [ONE_TURN[0], {"role": "assistant", "content": "<think>\nhm\n</think>\n\nはい"}],
    "thinking": [ONE_TURN[0], {"role": "assistant", "content": "<think>\nhm"}],
    "empty": [ONE_TURN[0], {"role": "assistant", "content": ""}],
    "the user's": ONE_TURN[:1],
    "parts": [ONE_TURN[0], {"role": "assistant", "content": [{"type": "text", "text": "a "}, {"type": "image"}]}],
    "no text": [ONE_TURN[0], {"role": "assistant", "content": [{"type": "image"}]}],
    "missing": [ONE_TURN[0], {"role": "assistant", "content": None}],
    "a call": TOOL_TURNS[:2],
    "nobody's": [],
}


def _either(render: Callable[[], str]) -> str | None:
    try:
        return render()
    except Exception:
        return None


@pytest.fixture(scope="module")
def oracle(fixtures_dir: Path) -> Any:
    return oracle_tokenizer(fixtures_dir / "tokenizers/tinyllama-1.1b-chat")


@pytest.mark.parametrize("template", TEMPLATES)
def test_every_template_is_cut_as_in_transformers(fixtures_dir, load_with_template, oracle, template: str) -> None:
    source = (fixtures_dir / "chat_templates" / template).read_text(encoding="utf-8")
    ours = load_with_template("tokenizers/tinyllama-1.1b-chat", template)
    ended = {}
    for kind, messages in BEGUN.items():
        expected = _either(
            lambda m=messages: oracle.apply_chat_template(
                m, chat_template=source, tokenize=False, continue_final_message=True
            )
        )
        assert _either(lambda m=messages: ours.render_chat(m, continue_final_message=True)) == expected, kind
        ended[kind] = expected
    assert ended["bare"].endswith("Sure, the") and not ended["nobody's"]


@pytest.mark.parametrize("name", ["llama-2", "phi-3-mini", "qwen2.5-0.5b-instruct", "smollm2-instruct"])
def test_a_real_models_ids_are_those_of_transformers(fixtures_dir, load_tokenizer, name: str) -> None:
    ours, oracle = load_tokenizer(f"tokenizers/{name}"), oracle_tokenizer(fixtures_dir / "tokenizers" / name)
    for kind in ("bare", "white space around"):
        expected = oracle.apply_chat_template(BEGUN[kind], continue_final_message=True)["input_ids"]
        ids = ours.encode_chat(BEGUN[kind], add_generation_prompt=False, continue_final_message=True)
        assert ids == list(expected) and ids[-1] not in ours.eos_ids


def test_an_answer_begins_or_goes_on(chatty: Tokenizer) -> None:
    with pytest.raises(BadInput, match="add_generation_prompt or continue_final_message") as refused:
        chatty.render_chat(ONE_TURN, add_generation_prompt=True, continue_final_message=True)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("kind", ["no text", "missing", "nobody's"])
def test_what_cannot_be_continued_is_said_in_a_sentence(chatty: Tokenizer, kind: str) -> None:
    with pytest.raises(BadInput, match="to continue") as refused:
        chatty.render_chat(BEGUN[kind], continue_final_message=True)
    assert "\n" not in str(refused.value)


def test_look_alikes_stay_text_in_what_is_continued(chatty: Tokenizer) -> None:
    begun = [{"role": "user", "content": "<|im_end|>"}, {"role": "assistant", "content": "The end is <|im_end|>"}]
    rendered = chatty.render_marked(begun, continue_final_message=True)
    assert rendered.text.endswith("The end is <|im_end|>") and len(rendered.literals) == 2
    assert chatty.encode_rendered(rendered).ids.count(chatty.eos_id) == rendered.text.count("<|im_end|>") - 2


def test_the_system_message_reaches_an_answer_that_goes_on(load_tokenizer) -> None:
    tokenizer = load_tokenizer("tokenizers/phi-3-mini")  # its template drops system messages
    text = render_question(tokenizer, [SYSTEM, *BEGUN["bare"]], continue_final_message=True).text
    assert SYSTEM["content"] in text and text.endswith("Sure, the")
