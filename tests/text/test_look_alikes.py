"""Special tokens typed as text are text: rendered as in transformers, and encoded as if they were no special tokens."""

import re
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tokenizers
from tokenizers import models, normalizers, pre_tokenizers

from loralab_core.errors import BadInput
from loralab_core.text.chat_template import ChatTemplate, Rendered
from loralab_core.text.encode import Encoder
from loralab_core.text.look_alikes import LookAlikes
from loralab_core.text.samples import ChatSample
from loralab_core.text.tokenizer import Tokenizer
from tests.text.helpers import CONVERSATIONS, ONE_TURN, TEMPLATES, TOKENIZERS, oracle_tokenizer

STAND_IN = "Qx{}xQ"  # what a look-alike is replaced by where a test wants to know what the template writes itself
CALLED = {"type": "function", "id": "abcdefghi", "function": {"name": "echo"}}


def _conversation(names: Sequence[str], speak: Callable[[str], str]) -> dict[str, Any]:
    """Every special token in every place a message has, with its neighbours close and far; `speak` says each name."""
    said = [speak(name) for name in names]
    system = {"role": "system", "content": f"Never say {said[0]}."}
    user = {"role": "user", "content": f"  {' '.join(said)} a{''.join(said)}b <|im_{said[0]}end|>\n{said[-1]}  "}
    answer = {"role": "assistant", "content": f"{said[0]} is {said[-1]}"}
    call = {"role": "assistant", "content": "", "tool_calls": [_call({"text": said[0], said[-1]: 1})]}
    result = {"role": "tool", "name": "echo", "tool_call_id": "abcdefghi", "content": f'{{"text": "{said[0]}"}}'}
    tool = {"name": "echo", "description": f"Says {said[-1]}", "parameters": {"type": "object", "properties": {}}}
    return {
        "turns": [user, answer, {"role": "user", "content": said[-1]}],
        "system": [system, user],
        "tools": [user, call, result],
        "definitions": [{"type": "function", "function": tool}],
    }


def _call(arguments: dict[str, Any]) -> dict[str, Any]:
    return {**CALLED, "function": {"name": "echo", "arguments": arguments}}


def _reference(oracle: Any, text: str, stood_in: str, names: Sequence[str]) -> list[int]:
    """transformers' own ids of what lies between the special tokens of the template, those as text."""
    pattern = re.compile("|".join(re.escape(name) for name in sorted(names, key=len, reverse=True)))
    added = {token.content: token for token in oracle.added_tokens_decoder.values()}
    ids: list[int] = []
    strip = False
    parts = re.split(f"({pattern.pattern})", stood_in)
    for part in parts:
        if pattern.fullmatch(part):
            ids.append(oracle.convert_tokens_to_ids(part))
            strip = added[part].rstrip
        else:
            part = part.lstrip() if strip else part
            literal = re.sub(STAND_IN.format(r"(\d+)"), lambda match: names[int(match[1])], part)
            ids += oracle.encode(literal, add_special_tokens=False, split_special_tokens=True) if literal else []
    assert re.sub(STAND_IN.format(r"(\d+)"), lambda match: names[int(match[1])], stood_in) == text
    return ids


def _names(tokenizer: Tokenizer) -> list[str]:
    return [str(tokenizer.backend.id_to_token(token)) for token in sorted(tokenizer.special_ids)]


@pytest.fixture(scope="module")
def load_oracle(fixtures_dir: Path) -> Callable[[str], Any]:
    return cache(lambda name: oracle_tokenizer(fixtures_dir / name))


@pytest.mark.parametrize("template", ["its own", *TEMPLATES])
@pytest.mark.parametrize("name", TOKENIZERS)
def test_look_alikes_are_text_in_every_template(fixtures_dir, load_tokenizer, load_oracle, name, template) -> None:
    ours, oracle = load_tokenizer(name), load_oracle(name)
    names = _names(ours)
    real = _conversation(names, str)
    stand_in = _conversation(names, lambda name: STAND_IN.format(names.index(name)))
    compiled = ours.template()
    if template != "its own":
        source = (fixtures_dir / "chat_templates" / template).read_text(encoding="utf-8")
        compiled = ChatTemplate(source, ours.special)
    seen = 0
    for kind in ("turns", "system", "tools"):
        tools = real["definitions"] if kind == "tools" else None
        try:
            text = compiled.render(real[kind], True, tools).text
        except BadInput:
            continue
        literals = ours.look_alikes.literals(
            text, lambda turns, tools: compiled.render(turns, True, tools).text, real[kind], tools
        )
        if ours.has_template or template != "its own":
            source = compiled.source
            assert text == oracle.apply_chat_template(
                real[kind], tools, chat_template=source, tokenize=False, add_generation_prompt=True
            )
        stood_in = compiled.render(stand_in[kind], True, tools and stand_in["definitions"]).text
        ids, offsets = ours.look_alikes.encode(text, literals)
        assert ids == _reference(oracle, text, stood_in, names)
        for place in literals:
            inside = [token for token, (start, end) in zip(ids, offsets, strict=True) if start <= place < end]
            assert inside and not ours.special_ids.intersection(inside)
        assert all(start <= end <= len(text) for start, end in offsets)
        seen += bool(literals)
    assert seen or "bos_token" not in ours.special  # llama3.jinja writes one


@pytest.mark.parametrize("name", TOKENIZERS)
def test_the_text_comes_back(load_tokenizer, name: str) -> None:
    tokenizer = load_tokenizer(name)
    said = " and ".join(_names(tokenizer))
    ids = tokenizer.encode_chat([{"role": "user", "content": f"Say {said}."}])
    assert f"Say {said}." in tokenizer.decode(ids)  # without what is special


@pytest.mark.parametrize("name", TOKENIZERS)
def test_offsets_and_ids_are_the_tokenizers_own_where_nothing_is_a_look_alike(load_tokenizer, name: str) -> None:
    tokenizer = load_tokenizer(name)
    for messages in CONVERSATIONS.values():
        try:
            rendered = tokenizer.render_marked(messages, add_generation_prompt=True)
        except BadInput:
            continue
        assert rendered.literals == ()
        expected = tokenizer.backend.encode(rendered.text, add_special_tokens=False)
        assert tokenizer.look_alikes.encode(rendered.text, ()) == (expected.ids, expected.offsets)


def test_raw_text_keeps_its_special_tokens(chatty: Tokenizer) -> None:
    assert chatty.eos_id in chatty.encode("a<|im_end|>b")


def test_noncharacters_in_a_message_forge_nothing(chatty: Tokenizer) -> None:
    marks = "".join(map(chr, range(0xFDD0, 0xFDEF)))
    for before in ("\ufdd0", marks):
        asked = [{"role": "user", "content": f"{before}<|im_end|>"}]
        rendered = chatty.render_marked(asked)
        assert rendered.text == chatty.render_chat(asked)
        assert chatty.encode_chat(asked, False).count(chatty.eos_id) == rendered.text.count("<|im_end|>") - 1
        assert before in chatty.decode(chatty.encode_chat(asked))
    with pytest.raises(BadInput, match="noncharacters"):
        chatty.encode_chat([{"role": "user", "content": f"{marks}\ufdef<|im_end|>"}])


def test_where_a_template_looks_into_a_message_only_that_one_is_left_as_written(with_template) -> None:
    source = (
        "{% for m in messages %}{{ '<|im_start|>' }}{% if m.content.startswith('<|im_end|>') %}!{% endif %}"
        "{{ m.content }}{% endfor %}"
    )
    tokenizer = Tokenizer.load(with_template("tokenizers/smollm2-instruct", source))
    turns = [{"role": "user", "content": content} for content in ("<|im_end|>one", "two <|im_end|>")]
    rendered = tokenizer.render_marked(turns)
    assert rendered.text == "<|im_start|>!<|im_end|>one<|im_start|>two <|im_end|>"
    assert rendered.literals == (rendered.text.rindex("<|im_end|>"),)
    assert tokenizer.encode_rendered(rendered).ids.count(tokenizer.eos_id) == 1


def _with_specials(backend: tokenizers.Tokenizer, **how: bool) -> LookAlikes:
    backend.add_special_tokens([tokenizers.AddedToken(name, special=True, **how) for name in ("<s>", "</s>")])
    return LookAlikes(backend, [token for token in map(backend.token_to_id, ("<s>", "</s>")) if token is not None])


def _pieces(backend: tokenizers.Tokenizer, ids: list[int]) -> list[str | None]:
    return [backend.id_to_token(token) for token in ids]


LETTERS = {piece: index for index, piece in enumerate(["<unk>", "<s>", "</s>", *"▁<>/sab"])}


@pytest.mark.parametrize("scheme", ["first", "always", "never"])
def test_only_the_beginning_of_the_text_is_a_beginning(scheme: str) -> None:
    backend = tokenizers.Tokenizer(models.BPE(LETTERS, [], unk_token="<unk>"))
    backend.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme=scheme)
    look_alikes = _with_specials(backend)
    text = "a<s>b</s>a"
    ids, offsets = look_alikes.encode(text, [5])
    begin, inner = ("▁" if scheme != "never" else ""), ("▁" if scheme == "always" else "")
    assert _pieces(backend, ids) == [*begin, "a", "<s>", *inner, *"b</s>a"]
    assert [text[start:end] for start, end in offsets][-6:] == [*"b</s>a"][-6:]


def test_white_space_that_a_special_token_takes_in_is_left_to_a_literal_one() -> None:
    backend = tokenizers.Tokenizer(models.BPE({**LETTERS, " ": 20}, [], unk_token="<unk>"))
    look_alikes = _with_specials(backend, lstrip=True, rstrip=True)
    ids, offsets = look_alikes.encode("a <s> b </s> a", [8])
    assert _pieces(backend, ids) == ["a", "<s>", *"b </s> a"]
    assert offsets[:3] == [(0, 1), (1, 6), (6, 7)]


def test_words_of_the_model_itself_are_taken_apart() -> None:
    pieces = [(piece, 0.0 if piece in ("<unk>", "<s>", "</s>") else -1.0) for piece in LETTERS]
    backend = tokenizers.Tokenizer(models.Unigram(pieces, unk_id=0))
    look_alikes = _with_specials(backend)
    ids, offsets = look_alikes.encode("a</s>é<s>", [1])
    assert _pieces(backend, ids) == ["a", *"</s>", "<unk>", "<s>"]
    assert offsets[0] == (0, 1) and set(offsets[1:5]) == {(1, 5)} and offsets[5:] == [(5, 6), (6, 9)]


def test_a_token_that_is_looked_for_in_normalised_text_is_found_where_the_tokenizer_finds_it() -> None:
    backend = tokenizers.Tokenizer(models.BPE(LETTERS, [], unk_token="<unk>"))
    backend.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    look_alikes = _with_specials(backend, normalized=True)
    for text in ("<s>a</s>b", "<s>a </s>b", "a<s>"):
        expected = backend.encode(text, add_special_tokens=False)
        assert look_alikes.encode(text, ()) == (expected.ids, expected.offsets)


def _trained(tokenizer: Tokenizer, messages: list[dict[str, Any]]) -> tuple[list[int], list[int], str]:
    encoder = Encoder(tokenizer)
    [(ids, mask)] = encoder.encode(list(encoder.segments(ChatSample(messages))))
    return ids.tolist(), ids[mask == 1].tolist(), tokenizer.decode(ids[mask == 1].tolist(), skip_special=False)


@pytest.mark.parametrize("template", TEMPLATES)
@pytest.mark.parametrize("name", ["tokenizers/smollm2-instruct", "tokenizers/phi-3-mini"])
def test_masks_stay_where_they_are(load_with_template, name: str, template: str) -> None:
    tokenizer = load_with_template(name, template)
    end = str(tokenizer.backend.id_to_token(tokenizer.eos_id))
    asked, plain = ({"role": "user", "content": f"Hi {word} there {word}"} for word in (end, "Jo"))
    ids, trained, text = _trained(tokenizer, [asked, *ONE_TURN[1:], asked, *ONE_TURN[1:]])
    _, expected, expected_text = _trained(tokenizer, [plain, *ONE_TURN[1:], plain, *ONE_TURN[1:]])
    assert (trained, text) == (expected, expected_text) and "naïve" in text
    assert f"Hi {end} there {end}" in tokenizer.decode(ids)


def test_in_training_the_assistants_own_special_tokens_are_as_written(chatty: Tokenizer) -> None:
    answer = {"role": "assistant", "content": "<jupyter_code>1<|im_end|>", "reasoning_content": "x"}
    ids, trained, _ = _trained(chatty, [{"role": "user", "content": "<jupyter_code>"}, answer])
    special = chatty.backend.token_to_id("<jupyter_code>")
    assert ids.count(special) == trained.count(special) == 1
    spoken = chatty.encode_chat([{"role": "user", "content": "Hi"}, answer])
    assert special not in spoken


def test_a_batch_with_and_without_look_alikes_is_each_row_alone(chatty: Tokenizer) -> None:
    encoder = Encoder(chatty, prompt_loss=True)
    rows = [[{**ONE_TURN[0], "content": content}, ONE_TURN[1]] for content in ("Hi", "<|im_end|>", "Ho")]
    segments = [segment for row in rows for segment in encoder.segments(ChatSample(row))]
    for row, (ids, mask) in zip(rows, encoder.encode(segments), strict=True):
        assert ids.tolist() == chatty.encode_chat(row, add_generation_prompt=False)
        assert np.all(mask)


def test_a_rendering_without_look_alikes_is_not_made_twice(chatty: Tokenizer) -> None:
    def render(turns: Any, tools: Any) -> str:
        raise AssertionError("rendered again")

    text = chatty.render_chat(ONE_TURN)
    assert chatty.look_alikes.literals(text, render, ONE_TURN) == ()
    assert chatty.encode_rendered(Rendered(text)).ids == chatty.encode(text, special=False)
