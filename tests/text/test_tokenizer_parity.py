"""Ids and text of the real tokenizers are those of transformers, over difficult texts and the corpora of the fixtures.

The reference is transformers reading tokenizer.json as it was saved (PreTrainedTokenizerFast), which is what the models
were trained with. AutoTokenizer of version 5 builds some classes anew instead and loses part of the file: the last test
says which, and that nothing else differs (huggingface/transformers issues 45920 and 45488).
"""

import json
from itertools import accumulate
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from loralab_core.text.tokenizer import Tokenizer
from tests.text.difficult_texts import DIFFICULT
from tests.text.helpers import TOKENIZERS, oracle_tokenizer

PIECE = 1500  # characters of a corpus in one text
CHARACTERS = 12_000  # of each corpus; the Unicode one is read evenly from end to end


@pytest.fixture(scope="module")
def corpora(fixtures_dir: Path) -> list[str]:
    pieces = []
    for path in sorted((fixtures_dir / "corpora").glob("*.*")):
        text = path.read_bytes().decode("utf-8")
        cut = [text[at : at + PIECE] for at in range(0, len(text), PIECE)]
        step = max(1, len(cut) * PIECE // CHARACTERS)
        pieces += cut[::step]
    return pieces


@pytest.mark.parametrize("name", TOKENIZERS)
def test_corpora_have_the_ids_and_the_text_of_transformers(
    fixtures_dir: Path, load_tokenizer, corpora: list[str], name: str
) -> None:
    ours, oracle = load_tokenizer(name), oracle_tokenizer(fixtures_dir / name)
    expected = oracle(corpora, add_special_tokens=False)["input_ids"]
    found = [encoding.ids for encoding in ours.encode_batch(corpora, special=False)]
    assert [text for text, a, b in zip(corpora, found, expected, strict=True) if a != b] == []
    assert [ours.decode(ids) for ids in expected] == oracle.batch_decode(expected, skip_special_tokens=True)


@pytest.mark.parametrize("name", TOKENIZERS)
def test_difficult_texts_have_the_ids_and_the_text_of_transformers(
    fixtures_dir: Path, load_tokenizer, name: str
) -> None:
    ours, oracle = load_tokenizer(name), oracle_tokenizer(fixtures_dir / name)
    for kind, text in DIFFICULT.items():
        ids = ours.encode(text)
        assert ids == oracle.encode(text), kind
        assert ours.encode(text, special=False) == oracle.encode(text, add_special_tokens=False), kind
        for skip in (True, False):
            assert ours.decode(ids, skip) == oracle.decode(ids, skip_special_tokens=skip), kind
    assert [encoding.ids for encoding in ours.encode_batch([*DIFFICULT.values()])] == [
        ours.encode(text) for text in DIFFICULT.values()
    ]
    assert (ours.bos_id, ours.eos_id) == (oracle.bos_token_id, oracle.eos_token_id)
    assert oracle.pad_token_id in (None, ours.pad_id)


@pytest.mark.parametrize("skip", [True, False])
@pytest.mark.parametrize("name", TOKENIZERS)
def test_text_that_streams_is_the_text_at_once(load_tokenizer, corpora: list[str], name: str, skip: bool) -> None:
    ours = load_tokenizer(name)
    for text in [*DIFFICULT.values(), *(piece[:100] for piece in corpora[::30])]:
        ids = ours.encode(text)
        stream = ours.stream(skip)
        shown = list(accumulate(map(stream.push, ids)))
        whole = ours.decode(ids, skip)
        assert all(whole.startswith(part) for part in shown)  # what was shown is never taken back
        assert "".join(shown[-1:]) + stream.flush() == whole


@pytest.mark.parametrize(
    "name", ["tokenizers/qwen2.5-0.5b-instruct", "tokenizers/phi-3-mini", "tokenizers/smollm2-instruct"]
)
def test_any_text_has_the_ids_of_transformers(fixtures_dir: Path, load_tokenizer, name: str) -> None:
    ours, oracle = load_tokenizer(name), oracle_tokenizer(fixtures_dir / name)
    piece = st.one_of(st.text(max_size=12), st.sampled_from([*DIFFICULT.values(), *sorted(ours.special.values())]))

    @settings(max_examples=30, deadline=None, suppress_health_check=list(HealthCheck))
    @given(st.lists(piece, max_size=4).map("".join))
    def check(text: str) -> None:
        ids = ours.encode(text)
        assert ids == oracle.encode(text)
        assert ours.decode(ids) == oracle.decode(ids, skip_special_tokens=True)

    check()


# What AutoTokenizer of transformers 5 builds anew, by the class that tokenizer_config.json names.
# TinyLlama's and Phi-3's are as Llama 2's.
REBUILT = {
    "tokenizers/llama-2": {
        "normalizer",
        "pre_tokenizer",
    },  # "▁" is put before some texts only
    "tokenizers/smollm2-instruct": {"pre_tokenizer"},  # digits are no longer split
}
PARTS = ("normalizer", "pre_tokenizer", "decoder", "added_tokens", "model")


@pytest.mark.parametrize("name", [*REBUILT, "tokenizers/qwen2.5-0.5b-instruct"])
def test_where_auto_tokenizer_keeps_to_the_file_it_is_the_same_too(
    fixtures_dir: Path, load_tokenizer, name: str
) -> None:
    from transformers import AutoTokenizer

    ours, auto = load_tokenizer(name), AutoTokenizer.from_pretrained(str(fixtures_dir / name))
    texts = list(DIFFICULT.values())
    expected = auto(texts)["input_ids"]
    different = [text for text, ids in zip(texts, expected, strict=True) if ours.encode(text) != ids]
    if name not in REBUILT:
        assert different == []
        return
    parts = {part for part in PARTS if _saved(ours.backend, part) != _saved(auto.backend_tokenizer, part)}
    assert parts == REBUILT[name]
    specials = [token.content for token in ours.backend.get_added_tokens_decoder().values()]
    for text in different:
        opens_or_counts = text[:1] in " ▁" or any(character.isnumeric() for character in text)
        assert opens_or_counts or any(special in text for special in specials), text


def _saved(backend: Any, part: str) -> Any:
    saved = json.loads(backend.to_str())[part]
    saved = {key: saved[key] for key in ("vocab", "merges")} if part == "model" else saved
    return sorted(saved, key=lambda token: token["id"]) if part == "added_tokens" else saved


VARIANTS: dict[str, dict[str, Any]] = {
    "as it is": {},
    "an end asked for": {"add_eos_token": True},
    "no beginning asked for": {"add_bos_token": False},
    "old": {"legacy": True},
    "new": {"legacy": False},
    "a space before": {"add_prefix_space": True},
    "no space before": {"add_prefix_space": False},
    "spaces cleaned up": {"clean_up_tokenization_spaces": True},
    "an end that is a word": {"eos_token": "ing"},
    "a beginning that is a word": {"bos_token": "ing"},
    "a token described otherwise": {
        "added_tokens_decoder": {"2": {"content": "</s>", "lstrip": True, "special": True}}
    },
}


@pytest.mark.parametrize("variant", VARIANTS)
def test_the_config_beside_a_saved_tokenizer_is_obeyed_as_in_transformers(
    fixtures_dir: Path, tmp_path: Path, variant: str
) -> None:
    ours, oracle = _altered(fixtures_dir / "models/stories3M", tmp_path, VARIANTS[variant])
    for text in (*DIFFICULT.values(), "singing </s> , n't."):
        ids = oracle.encode(text)
        assert ours.encode(text) == ids
        assert ours.encode(text, special=False) == oracle.encode(text, add_special_tokens=False)
        for skip in (True, False):
            assert ours.decode(ids, skip) == oracle.decode(ids, skip_special_tokens=skip)
    assert (ours.bos_id, ours.eos_id) == (oracle.bos_token_id, oracle.eos_token_id)


def test_listed_tokens_that_the_file_lacks_are_added_under_their_ids(fixtures_dir: Path, tmp_path: Path) -> None:
    listed = {
        "4096": {"content": "<tool>", "special": True},
        "4097": {"content": "<x>", "special": False, "normalized": False},
    }
    ours, oracle = _altered(fixtures_dir / "models/stories3M", tmp_path, {"added_tokens_decoder": listed})
    ids = ours.encode("a<tool> b<x>")
    assert ids == oracle.encode("a<tool> b<x>") and {4096, 4097} <= set(ids)
    assert ours.decode(ids) == oracle.decode(ids, skip_special_tokens=True)
    assert ours.fingerprint != Tokenizer.load(fixtures_dir / "models/stories3M").fingerprint


def test_what_is_no_token_in_the_list_is_passed_over(fixtures_dir: Path, tmp_path: Path) -> None:
    directory, plain = tmp_path, fixtures_dir / "models/stories3M"
    (directory / "tokenizer.json").symlink_to(plain / "tokenizer.json")
    listed = {"x": {"content": "a"}, "4096": None, "4097": {}, "4098": {"content": 5}}
    (directory / "tokenizer_config.json").write_text(json.dumps({"added_tokens_decoder": listed}))
    assert Tokenizer.load(directory).vocab_size == 4096


@pytest.mark.parametrize("config", [{"pad_token": "<none>"}, {"added_tokens_decoder": {"9999": {"content": "<none>"}}}])
def test_no_id_is_made_up_for_a_token_the_model_has_no_row_for(
    fixtures_dir: Path, tmp_path: Path, config: dict[str, Any]
) -> None:
    """transformers makes one up, behind the vocabulary: such a text would end in an index error, or in another row."""
    ours, _ = _altered(fixtures_dir / "models/stories3M", tmp_path, config)
    assert max(ours.encode("a <none>")) < 4096 and ours.vocab_size == 4096


def _altered(source: Path, directory: Path, config: dict[str, Any]) -> tuple[Tokenizer, Any]:
    (directory / "tokenizer.json").symlink_to(source / "tokenizer.json")
    saved = json.loads((source / "tokenizer_config.json").read_bytes())
    (directory / "tokenizer_config.json").write_text(json.dumps(saved | config))
    return Tokenizer.load(directory), oracle_tokenizer(directory)


ENDS = {
    "tokenizers/gpt2": ["<|endoftext|>"],
    "tokenizers/llama-2": ["</s>"],
    "tokenizers/phi-2": ["<|endoftext|>"],
    "tokenizers/phi-3-mini": ["<|endoftext|>", "<|end|>"],
    "tokenizers/qwen2.5-0.5b-instruct": ["<|im_end|>"],
    "tokenizers/smollm2-instruct": ["<|im_end|>"],
    "tokenizers/tinyllama-1.1b-chat": ["</s>"],
    "models/stories3M": ["</s>", "<s>"],
    "models/stories260K": ["</s>", "<s>"],
}


@pytest.mark.parametrize("name", TOKENIZERS)
def test_an_answer_ends_at_every_end_the_files_or_the_template_know(load_tokenizer, name: str) -> None:
    ours = load_tokenizer(name)
    assert [ours.backend.id_to_token(token) for token in ours.eos_ids] == ENDS[name]
    assert set(ours.eos_ids) <= ours.special_ids


@pytest.mark.parametrize(
    ("config", "generation", "ends"),
    [
        ({"eos_token_id": 2}, {}, [2]),
        ({"eos_token_id": [2, 5]}, {}, [2, 5]),
        ({"eos_token_id": 2}, {"eos_token_id": [1, 5]}, [2, 1, 5]),  # the tokenizer's own comes first
        ({"eos_token_id": [7, 8]}, {"eos_token_id": None}, [2, 7, 8]),
        ({}, {"eos_token_id": True}, [2]),
    ],
)
def test_lists_of_ends_are_read_from_both_configs(
    fixtures_dir: Path, tmp_path: Path, config: dict[str, Any], generation: dict[str, Any], ends: list[int]
) -> None:
    (tmp_path / "config.json").write_text(json.dumps(config))
    (tmp_path / "generation_config.json").write_text(json.dumps(generation))
    assert list(_altered(fixtures_dir / "models/stories3M", tmp_path, {})[0].eos_ids) == ends
