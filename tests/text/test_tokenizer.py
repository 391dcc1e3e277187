"""The tokenizer of a directory: honest errors, text streams without half characters."""

import json
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from loralab_core.errors import BadInput
from loralab_core.text.tokenizer import Tokenizer


def test_everything_that_ends_an_answer_is_known(load_tokenizer) -> None:
    assert load_tokenizer("models/stories3M").eos_ids == (2, 1)  # generation_config.json lists both
    assert load_tokenizer("tokenizers/qwen2.5-0.5b-instruct").eos_ids == (151645,)
    assert load_tokenizer("tokenizers/phi-3-mini").eos_ids == (32000, 32007)  # <|end|> is known from the template only


@pytest.mark.parametrize("name", ["models/stories260K", "tokenizers/gpt2", "tokenizers/llama-2"])
def test_a_stream_of_any_ids_joins_to_the_whole(load_tokenizer, name: str) -> None:
    tokenizer = load_tokenizer(name)

    @settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow])
    @given(st.lists(st.integers(0, min(tokenizer.vocab_size, 400) - 1), max_size=40))
    def check(ids: list[int]) -> None:
        stream = tokenizer.stream()
        assert "".join(map(stream.push, ids)) + stream.flush() == tokenizer.decode(ids)

    check()


def test_text_appears_as_soon_as_it_is_certain(plain: Tokenizer) -> None:
    stream = plain.stream()
    pieces = [stream.push(token) for token in plain.encode("One day a girl", special=False)]
    assert sum(map(bool, pieces)) >= 4
    assert "".join(pieces) == "One day a girl"


def test_saved_truncation_and_padding_are_not_applied(load_tokenizer) -> None:
    assert len(load_tokenizer("tokenizers/gpt2").encode("word " * 1000)) > 900  # its file says 256, padded


def test_the_fingerprint_changes_with_what_matters(with_template) -> None:
    first = Tokenizer.load(with_template("models/stories3M", "A")).fingerprint
    assert Tokenizer.load(with_template("models/stories3M", "B")).fingerprint != first
    assert Tokenizer.load(with_template("models/stories3M", "A")).fingerprint == first


@pytest.mark.parametrize(
    ("files", "words"),
    [
        ({}, "tokenizer.json is missing"),
        ({"tokenizer.model": "x"}, "SentencePiece"),
        ({"tokenizer.json": "{"}, "tokenizer.json is not a readable tokenizer"),
        ({"tokenizer.json": "{}"}, "tokenizer.json is not a readable tokenizer"),
        ({"tokenizer.json": "{}", "tokenizer_config.json": "{,"}, "tokenizer_config.json is not valid JSON"),
        ({"tokenizer.json": "{}", "generation_config.json": "[]"}, "generation_config.json should hold a JSON object"),
    ],
)
def test_missing_and_broken_files_are_named(tmp_path: Path, files: dict[str, str], words: str) -> None:
    for name, content in files.items():
        (tmp_path / name).write_text(content)
    with pytest.raises(BadInput, match=words) as caught:
        Tokenizer.load(tmp_path)
    assert str(tmp_path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_no_directory_is_said(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="is not a directory"):
        Tokenizer.load(tmp_path / "nowhere")


def test_special_tokens_may_be_objects_and_may_stand_in_the_second_file(tmp_path: Path, fixtures_dir: Path) -> None:
    (tmp_path / "tokenizer.json").symlink_to(fixtures_dir / "models/stories3M/tokenizer.json")
    (tmp_path / "tokenizer_config.json").write_text(json.dumps({"bos_token": {"content": "<s>"}, "pad_token": None}))
    (tmp_path / "special_tokens_map.json").write_text(json.dumps({"eos_token": "</s>", "pad_token": "<unk>"}))
    tokenizer = Tokenizer.load(tmp_path)
    assert (tokenizer.bos_id, tokenizer.eos_id, tokenizer.pad_id) == (1, 2, None)
