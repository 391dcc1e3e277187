"""A model with only a tokenizer.model has the tokenizer that its tokenizer.json would give it."""

import json
import shutil
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from loralab_core.errors import BadInput
from loralab_core.text.tokenizer import Tokenizer
from tests.text.difficult_texts import DIFFICULT

BOTH = ("tokenizers/llama-2", "tokenizers/tinyllama-1.1b-chat")


@pytest.fixture(params=BOTH, scope="module")
def pair(
    request: pytest.FixtureRequest, fixtures_dir: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Tokenizer, Tokenizer]:
    """(from tokenizer.model, from tokenizer.json)"""
    source, place = fixtures_dir / request.param, tmp_path_factory.mktemp("model")
    for name in ("tokenizer.model", "tokenizer_config.json"):
        shutil.copyfile(source / name, place / name)
    return Tokenizer.load(place), Tokenizer.load(source)


def test_it_is_the_same_tokenizer(pair: tuple[Tokenizer, Tokenizer]) -> None:
    made, saved = (json.loads(each.backend.to_str()) for each in pair)
    for part in ("model", "normalizer", "pre_tokenizer", "decoder", "added_tokens"):
        assert made[part] == saved[part], part
    assert made["post_processor"]["single"] == saved["post_processor"]["single"]
    for text in DIFFICULT.values():
        assert pair[0].encode(text) == pair[1].encode(text)
    assert pair[0].eos_ids == pair[1].eos_ids and pair[0].bos_id == pair[1].bos_id == 1


def test_any_text_has_the_same_ids(pair: tuple[Tokenizer, Tokenizer]) -> None:
    @settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow])
    @given(st.text(max_size=60))
    def check(text: str) -> None:
        ids = pair[0].encode(text)
        assert ids == pair[1].encode(text) and pair[0].decode(ids) == pair[1].decode(ids)

    check()


def test_tokens_added_later_and_an_end_that_is_asked_for(fixtures_dir: Path, tmp_path: Path) -> None:
    shutil.copyfile(fixtures_dir / BOTH[0] / "tokenizer.model", tmp_path / "tokenizer.model")
    (tmp_path / "added_tokens.json").write_text('{"<|end|>": 32001, "<pad>": 32000}')
    (tmp_path / "tokenizer_config.json").write_text('{"add_bos_token": false, "add_eos_token": true}')
    tokenizer = Tokenizer.load(tmp_path)
    assert tokenizer.encode("a<pad><|end|>")[1:] == [32000, 32001, 2]


@pytest.mark.parametrize("name", BOTH)
def test_ids_are_those_of_sentencepiece_itself(fixtures_dir: Path, tmp_path: Path, name: str) -> None:
    """Recorded from its 0.2.3. transformers 5 makes [1, 3275] and 259, 29891 of the same file."""
    shutil.copyfile(fixtures_dir / name / "tokenizer.model", tmp_path / "tokenizer.model")
    tokenizer = Tokenizer.load(tmp_path)
    assert tokenizer.encode(" lead") == [1, 29871, 3275]
    assert tokenizer.encode("x\n\n  y") == [1, 921, 13, 13, 29871, 343]


def test_no_space_is_put_before_a_text_where_the_config_says_so(fixtures_dir: Path, tmp_path: Path) -> None:
    shutil.copyfile(fixtures_dir / BOTH[0] / "tokenizer.model", tmp_path / "tokenizer.model")
    (tmp_path / "tokenizer_config.json").write_text('{"add_prefix_space": false}')
    tokenizer = Tokenizer.load(tmp_path)
    assert tokenizer.encode("Hello") == [1, 10994]  # as transformers has it; with the space 15043
    assert tokenizer.decode(tokenizer.encode(" lead Hello")) == " lead Hello"


@pytest.mark.parametrize("content", [b"", b"not one", bytes(100), b"\x0a\xff\x01"])
def test_what_is_none_is_refused_by_name(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "tokenizer.model").write_bytes(content)
    with pytest.raises(BadInput, match=r"tokenizer\.model is not a SentencePiece model"):
        Tokenizer.load(tmp_path)
