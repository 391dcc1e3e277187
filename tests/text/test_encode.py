"""Rows as ids with the mask of what is trained."""

from itertools import groupby
from pathlib import Path

import numpy as np
import pytest

from loralab_core.text import chunks
from loralab_core.text.encode import Encoder, row_hash
from loralab_core.text.samples import ChatSample, TextSample
from loralab_core.text.tokenizer import Tokenizer
from tests.text.helpers import (
    FIXTURES,
    MANY_TURNS,
    MARKED,
    ONE_TURN,
    SYSTEM,
    TEMPLATES,
    TOKENIZERS,
    TOOL_TURNS,
    oracle_tokenizer,
)

TINY = FIXTURES / "corpora" / "tinyshakespeare.txt"


def _encoded(tokenizer: Tokenizer, sample: TextSample | ChatSample, prompt_loss: bool = False):
    encoder = Encoder(tokenizer, prompt_loss)
    parts = encoder.encode(list(encoder.segments(sample)))
    if not parts:
        return np.empty(0, int), np.empty(0, int)
    return np.concatenate([ids for ids, _ in parts]), np.concatenate([mask for _, mask in parts])


def _trained(tokenizer: Tokenizer, sample: ChatSample) -> list[str]:
    """The stretches of trained text."""
    ids, mask = _encoded(tokenizer, sample)
    groups = groupby(zip(ids.tolist(), mask, strict=True), key=lambda pair: pair[1])
    return [tokenizer.decode([token for token, _ in group], skip_special=False) for on, group in groups if on]


def test_plain_text_is_trained_whole_between_its_bos_and_eos(load_tokenizer) -> None:
    for name, opening in (("models/stories3M", [1]), ("tokenizers/gpt2", [])):
        tokenizer = load_tokenizer(name)
        ids, mask = _encoded(tokenizer, TextSample("Once upon a time"))
        assert ids.tolist() == [*opening, *tokenizer.encode("Once upon a time", special=False), tokenizer.eos_id]
        assert mask.all()


def test_a_text_that_ends_in_eos_gets_no_second_one(plain: Tokenizer) -> None:
    assert _encoded(plain, TextSample("Once</s>"))[0].tolist().count(2) == 1


@pytest.mark.parametrize("name", TOKENIZERS)
def test_long_text_in_chunks_has_the_tokens_of_the_whole(load_tokenizer, monkeypatch, name: str) -> None:
    tokenizer = load_tokenizer(name)
    monkeypatch.setattr(chunks, "CHUNK", 200)
    for text in (TINY.read_text(encoding="utf-8")[:20_000], "word\n\n  (indented)\n\tworld — “x” 日本語\n" * 200):
        ids, _ = _encoded(tokenizer, TextSample(text))
        body = tokenizer.encode(text, special=False)
        assert ids.tolist() == [*tokenizer.prefix_ids, *body, *([tokenizer.eos_id] if tokenizer.eos_id else [])]


@pytest.mark.parametrize("template", MARKED)
def test_marked_templates_give_the_mask_of_transformers(fixtures_dir, load_with_template, template: str) -> None:
    source = (fixtures_dir / "chat_templates" / template).read_text(encoding="utf-8")
    name = "tokenizers/qwen2.5-0.5b-instruct"
    ours, oracle = load_with_template(name, template), oracle_tokenizer(fixtures_dir / name)
    for messages in (ONE_TURN, MANY_TURNS, [SYSTEM, *MANY_TURNS]):
        expected = oracle.apply_chat_template(
            messages, chat_template=source, return_dict=True, return_assistant_tokens_mask=True
        )
        ids, mask = _encoded(ours, ChatSample(messages))
        assert ids.tolist() == list(expected["input_ids"])
        assert mask.tolist() == list(expected["assistant_masks"])


@pytest.mark.parametrize("template", [name for name in TEMPLATES if name not in MARKED])
def test_templates_without_marks_train_answers_and_nothing_else(load_with_template, template: str) -> None:
    tokenizer = load_with_template("tokenizers/smollm2-instruct", template)
    stretches = _trained(tokenizer, ChatSample(MANY_TURNS))
    assert len(stretches) == 2
    assert "I am 語の模型 — “naïve” ✓" in stretches[0]
    assert "はい。" in stretches[1]
    assert not any("Hi" in stretch or "user" in stretch.lower() for stretch in stretches)


@pytest.mark.parametrize(
    "name", [f"tokenizers/{name}" for name in ("llama-2", "phi-3-mini", "qwen2.5-0.5b-instruct", "smollm2-instruct")]
)
def test_a_real_models_answers_are_trained_up_to_their_end_token(load_tokenizer, name: str) -> None:
    tokenizer = load_tokenizer(name)
    ids, mask = _encoded(tokenizer, ChatSample(MANY_TURNS))
    ends = np.flatnonzero(np.diff(np.append(mask, 0).astype(int)) == -1)
    assert len(ends) == 2
    assert all(ids[end] in tokenizer.eos_ids for end in ends)


def test_the_plain_template_trains_answers_with_their_eos(plain: Tokenizer) -> None:
    assert _trained(plain, ChatSample([SYSTEM, *ONE_TURN])) == ["I am 語の模型 — “naïve” ✓ </s>"]


def test_only_one_bos(plain: Tokenizer, load_tokenizer) -> None:
    for tokenizer in (plain, load_tokenizer("tokenizers/llama-2")):
        ids, _ = _encoded(tokenizer, ChatSample(ONE_TURN))
        assert ids[0] == 1
        assert ids[1] != 1


def test_prompt_loss_trains_everything(chatty: Tokenizer) -> None:
    assert _encoded(chatty, ChatSample(ONE_TURN), prompt_loss=True)[1].all()


def test_an_answer_that_repeats_the_question_is_found_in_its_own_place(chatty: Tokenizer) -> None:
    turns = [{"role": "user", "content": "assistant"}, {"role": "assistant", "content": "assistant"}] * 2
    assert _trained(chatty, ChatSample(turns)) == ["assistant<|im_end|>"] * 2


@pytest.mark.parametrize("answer", ["", "  \n"])
def test_an_empty_answer_trains_nothing(chatty: Tokenizer, plain: Tokenizer, answer: str) -> None:
    sample = ChatSample([ONE_TURN[0], {"role": "assistant", "content": answer}])
    assert not _encoded(chatty, sample)[1].any()
    assert not _encoded(plain, sample)[1].any()


def test_tool_calls_are_trained_with_and_without_a_template_that_knows_them(plain, load_tokenizer) -> None:
    knowing = _trained(load_tokenizer("tokenizers/qwen2.5-0.5b-instruct"), ChatSample(TOOL_TURNS))
    assert '"arguments": {"ort": "Zürich"}' in knowing[0]
    for tokenizer in (plain, load_tokenizer("tokenizers/smollm2-instruct")):
        call, answer = _trained(tokenizer, ChatSample(TOOL_TURNS))
        assert "wetter" in call and "Zürich" in call
        assert "21 °C" in answer


def test_refused_conversations_are_counted_with_the_templates_words(load_tokenizer) -> None:
    encoder = Encoder(load_tokenizer("tokenizers/llama-2"))
    assert list(encoder.segments(ChatSample([ONE_TURN[1]]))) == []
    assert encoder.refused == 1
    assert "must alternate" in encoder.refusal


def test_a_rows_hash_depends_on_its_content_alone(plain: Tokenizer, load_tokenizer, monkeypatch) -> None:
    one, other = Encoder(plain), Encoder(load_tokenizer("tokenizers/gpt2"))
    text = "word " * 30_000
    assert row_hash(one.segments(TextSample(text))) == row_hash(other.segments(TextSample(text)))
    assert row_hash(one.segments(ChatSample(ONE_TURN))) == row_hash(other.segments(ChatSample(ONE_TURN)))
    assert row_hash(one.segments(ChatSample(ONE_TURN))) != row_hash(one.segments(ChatSample(MANY_TURNS)))


def test_fixtures_are_where_the_tests_look(fixtures_dir: Path) -> None:
    assert TINY.is_file()
