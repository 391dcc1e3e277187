"""A tokenizer written into a GGUF file as llama.cpp's converter does is the tokenizer it was made of."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tokenizers import Regex, pre_tokenizers

from loralab_core.errors import BadInput
from loralab_core.text.sentencepiece import parse
from loralab_core.text.tokenizer import Tokenizer
from loralab_core.text.tokenizer_files import has_tokenizer
from tests.gguf.writer import write
from tests.text.difficult_texts import DIFFICULT

NORMAL, CONTROL, USER_DEFINED, UNUSED = 1, 3, 4, 5
MORE = ("12345 + 6.7e-8 = 𝟙𝟚", "it's WE'LL\r\n\r\n  x\t\ty", "  </s><s> <|im_end|>\n<|user|>\n\nHi<|end|>\n", "ﬁ Å")
BYTE_LEVEL = {"gpt2": "gpt-2", "phi-2": "phi-2", "qwen2.5-0.5b-instruct": "qwen2", "smollm2-instruct": "smollm"}


def tokenizer(path: Path, **metadata: Any) -> Tokenizer:
    named = {key.replace("__", "."): value for key, value in metadata.items()}
    own = {key if "." in key else f"tokenizer.ggml.{key}": value for key, value in named.items() if value is not None}
    return Tokenizer.load(write(path, {"general.architecture": "llama"} | own, {}))


def byte_level(directory: Path, path: Path, pre: str) -> Tokenizer:
    saved = json.loads((directory / "tokenizer.json").read_bytes())
    about = json.loads((directory / "tokenizer_config.json").read_bytes())
    ids = saved["model"]["vocab"] | {token["content"]: token["id"] for token in saved["added_tokens"]}
    kinds = {token["content"]: CONTROL if token["special"] else USER_DEFINED for token in saved["added_tokens"]}
    texts = sorted(ids, key=lambda text: ids[text])
    merges = [merge if isinstance(merge, str) else " ".join(merge) for merge in saved["model"]["merges"]]
    ends = {f"{name}_token_id": ids[text] for name in ("bos", "eos") if (text := _text(about.get(f"{name}_token")))}
    return tokenizer(
        path,
        model="gpt2",
        pre=pre,
        tokens=texts,
        token_type=[kinds.get(text, NORMAL) for text in texts],
        merges=merges,
        tokenizer__chat_template=about.get("chat_template"),
        **ends,
    )


def _text(token: Any) -> str | None:
    return token.get("content") if isinstance(token, dict) else token


def same(ours: Tokenizer, theirs: Tokenizer, *texts: str) -> None:
    for text in texts:
        ids = ours.encode(text)
        assert ids == theirs.encode(text), text
        assert ours.decode(ids, skip_special=False) == theirs.decode(ids, skip_special=False)


@pytest.mark.parametrize("name", BYTE_LEVEL)
def test_byte_level_tokenizers(name: str, fixtures_dir: Path, tmp_path: Path) -> None:
    theirs = Tokenizer.load(fixtures_dir / "tokenizers" / name)
    ours = byte_level(fixtures_dir / "tokenizers" / name, tmp_path / "x.gguf", BYTE_LEVEL[name])
    assert (ours.eos_ids, ours.has_template) == (theirs.eos_ids, theirs.has_template)
    if theirs.has_template:
        turns = [{"role": "user", "content": "Hi <|im_end|>"}, {"role": "assistant", "content": "語"}]
        assert ours.render_chat(turns) == theirs.render_chat(turns)

    @settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
    @given(st.text(max_size=60))
    def check(text: str) -> None:
        same(ours, theirs, text)

    same(ours, theirs, *DIFFICULT.values(), *MORE)
    check()


@pytest.mark.parametrize("name", ["llama-2", "tinyllama-1.1b-chat"])
def test_sentencepiece_with_scores(name: str, fixtures_dir: Path, tmp_path: Path) -> None:
    directory = fixtures_dir / "tokenizers" / name
    pieces = parse((directory / "tokenizer.model").read_bytes()).pieces
    ours = tokenizer(tmp_path / "x.gguf", model="llama", **lists(pieces), bos_token_id=1, eos_token_id=2)
    same(ours, Tokenizer.load(directory), *DIFFICULT.values(), *MORE)


def lists(pieces: list[Any]) -> dict[str, Any]:
    return {
        "tokens": [piece.text for piece in pieces],
        "scores": [piece.score for piece in pieces],
        "token_type": [piece.kind for piece in pieces],
        "unknown_token_id": 0,
    }


def test_phi_3_swallows_what_follows_its_special_tokens(fixtures_dir: Path, tmp_path: Path) -> None:
    directory = fixtures_dir / "tokenizers"
    pieces = parse((directory / "llama-2" / "tokenizer.model").read_bytes()).pieces  # the same pieces, and some more
    saved = json.loads((directory / "phi-3-mini" / "tokenizer.json").read_bytes())
    more = sorted(saved["added_tokens"], key=lambda token: token["id"])[3:]
    given = lists(pieces + [type(pieces[0])(token["content"], -1000.0, CONTROL) for token in more])
    ours = tokenizer(
        tmp_path / "x.gguf", general__architecture="phi3", model="llama", **given, bos_token_id=1, add_bos_token=False
    )
    same(
        ours,
        Tokenizer.load(directory / "phi-3-mini"),
        *MORE,
        "<|system|>\nx<|end|>\n<|user|>\n y<|end|>\n<|assistant|>\n",
    )


def test_the_real_file_and_the_same_tokenizer_as_json(fixtures_dir: Path) -> None:
    ours, theirs = (Tokenizer.load(fixtures_dir / "models" / name) for name in ("stories260K.gguf", "stories260K"))
    same(ours, theirs, *DIFFICULT.values(), *MORE)
    assert (ours.bos_id, ours.eos_id, ours.prefix_ids, ours.vocab_size) == (1, 2, [1], 512)
    assert ours.pad_id is None  # 2^32 - 1 in the file


LETTERS = [chr(number) for number in range(33, 127)] + ["Ġ", "Ċ", "č"]
LLAMA3 = {"model": "gpt2", "pre": "llama-bpe", "tokens": [*LETTERS, "12", "123", "abc", "<|b|>", "<|e|>", "<|t|>"]}
LLAMA3 |= {"token_type": [NORMAL] * 100 + [CONTROL] * 3, "merges": ["1 2", "12 3"]}
LLAMA3 |= {"bos_token_id": 100, "eos_token_id": 101, "eot_token_id": 102}


def test_llama_3_begins_with_a_bos_and_takes_whole_pieces(tmp_path: Path) -> None:
    """Three digits are one piece at most, and a piece that is a token is one without any merge."""
    ours = tokenizer(tmp_path / "x.gguf", **LLAMA3)
    ids = {text: number for number, text in enumerate(LLAMA3["tokens"])}
    assert ours.encode("12312abc") == [100, ids["123"], ids["12"], ids["abc"]]
    assert ours.encode("x<|t|>") == [100, ids["x"], 102]
    assert ours.eos_ids == (101, 102) and ours.prefix_ids == [100]
    without = tokenizer(tmp_path / "y.gguf", **LLAMA3, add_bos_token=False, add_eos_token=True)
    assert without.encode("a") == [ids["a"], 101]


def test_the_words_of_llama_3(tmp_path: Path) -> None:
    """Cut as the expression in its own tokenizer.json does, read here by the library alone."""
    expression = (
        r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+"
        r"|\s+(?!\S)|\s+"
    )
    cut = pre_tokenizers.Split(Regex(expression), "isolated")
    ours = tokenizer(tmp_path / "x.gguf", **LLAMA3).backend.pre_tokenizer
    for text in (*DIFFICULT.values(), *MORE):
        expected = [span for _, span in cut.pre_tokenize_str(text)]
        assert [span for _, span in ours.pre_tokenize_str(text)] == expected


def test_templates_by_name(tmp_path: Path) -> None:
    given = {"tokenizer.chat_template": "plain", "tokenizer.chat_template.tool_use": "with tools"}
    ours = tokenizer(tmp_path / "x.gguf", **LLAMA3, **given)
    turns = [{"role": "user", "content": "x"}]
    assert ours.render_chat(turns) == "plain" and ours.render_chat(turns, tools=[]) == "with tools"


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"pre": "tekken"}, ("tekken", "llama-bpe")),
        ({"pre": None}, ("tokenizer.ggml.pre", "None")),
        ({"model": "bert"}, ("bert", "gpt2")),
        ({"tokens": []}, ("no tokens",)),
        ({"tokens": 5}, ("tokens",)),
        ({"token_type": [1]}, ("1 kinds",)),
        ({"tokens": ["a"] * 103}, ("same text",)),
        ({"merges": ["1 9 9"]}, ("merges",)),
        ({"merges": ["zz zz"]}, ("merges",)),
    ],
)
def test_what_cannot_be_used_is_refused_by_name(
    changes: dict[str, Any], words: tuple[str, ...], tmp_path: Path
) -> None:
    with pytest.raises(BadInput) as raised:
        tokenizer(tmp_path / "x.gguf", **LLAMA3 | changes)
    assert "\n" not in str(raised.value) and str(tmp_path / "x.gguf") in str(raised.value)
    for word in words:
        assert word in str(raised.value)


def test_old_gpt_2_files_have_no_name_for_their_words(tmp_path: Path) -> None:
    old = LLAMA3 | {"pre": None, "general__architecture": "gpt2"}
    assert tokenizer(tmp_path / "x.gguf", **old).encode("1") == [LETTERS.index("1")]


def test_a_file_may_have_no_tokenizer(tmp_path: Path) -> None:
    assert not has_tokenizer(write(tmp_path / "x.gguf", {"general.architecture": "llama"}, {}))
