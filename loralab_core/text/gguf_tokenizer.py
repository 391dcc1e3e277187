"""The tokenizer a GGUF file carries in its metadata, as the tokenizer.json that transformers would have for it.

Keys: docs/gguf.md of ggml-org/ggml. Two kinds are read: "llama" (SentencePiece BPE with scores) and "gpt2"
(byte-level BPE with merges, its texts cut up as `tokenizer.ggml.pre` names it).
"""

from functools import lru_cache
from typing import Any

import tokenizers
from tokenizers import AddedToken, decoders, models

from loralab_core.errors import BadInput
from loralab_core.gguf import GGUFFile
from loralab_core.text.gguf_splitters import Splitter, find_splitter
from loralab_core.text.sentencepiece import (
    BPE,
    CONTROL,
    NORMAL,
    UNKNOWN,
    USER_DEFINED,
    Piece,
    SentencePieceFile,
    build,
    surround,
)
from loralab_core.text.tokenizer_files import TokenizerFiles, tokenizer_fingerprint

SPECIAL = {
    "bos_token": "bos",
    "eos_token": "eos",
    "unk_token": "unknown",
    "sep_token": "seperator",  # so it is spelt in the files
    "pad_token": "padding",
    "cls_token": "cls",
    "mask_token": "mask",
}
ENDS = ("eos", "eot", "eom")


@lru_cache(maxsize=1)
def gguf_tokenizer_files(file: GGUFFile) -> TokenizerFiles:
    """Raises BadInput for a kind of tokenizer that is not known, or lists that do not belong together."""
    reader = _Vocabulary(file)
    special = {name: reader.tokens[number] for name, key in SPECIAL.items() if (number := reader.id(key)) is not None}
    found = [reader.id(name) for name in ENDS]
    ends = tuple(dict.fromkeys(number for number in found if number is not None))
    vocabulary = _backend(reader, special).to_str().encode()
    templates = _templates(file.metadata)
    return TokenizerFiles(
        tokenizer_json=vocabulary,
        special=special,
        templates=templates,
        end_ids=ends,
        bos_id=reader.id("bos"),
        pad_id=reader.id("padding"),
        model_max_length=None,
        fingerprint=tokenizer_fingerprint(vocabulary, special, templates, ends),
    )


class _Vocabulary:
    """The lists and ids below tokenizer.ggml, held against each other."""

    def __init__(self, file: GGUFFile):
        self.file = file
        self.tokens: list[str] = self.list_of("tokens", str)
        count = len(self.tokens)
        if not self.tokens:
            raise self.wrong("it has no tokens")
        self.kinds: list[int] = self.list_of("token_type", int) or [NORMAL] * count
        self.scores: list[float] = self.list_of("scores", float) or [0.0] * count
        if not len(self.kinds) == len(self.scores) == count:
            raise self.wrong(f"{count} tokens have {len(self.kinds)} kinds and {len(self.scores)} scores")
        if len(set(self.tokens)) != count:
            raise self.wrong("two tokens have the same text")

    def wrong(self, why: str) -> BadInput:
        return BadInput(f"{self.file.path}: its tokenizer cannot be used, {why}; convert the model again")

    def value(self, key: str, default: Any = None) -> Any:
        return self.file.metadata.get(f"tokenizer.ggml.{key}", default)

    def list_of(self, key: str, kind: type) -> list[Any]:
        found = self.value(key, [])
        if not isinstance(found, list) or not all(isinstance(each, kind) for each in found):
            raise self.wrong(f"{key} should be a list")
        return found

    def id(self, name: str) -> int | None:
        """None also for the -1 that writers put where there is none."""
        number = self.value(f"{name}_token_id")
        return number if isinstance(number, int) and 0 <= number < len(self.tokens) else None


def _backend(reader: _Vocabulary, special: dict[str, str]) -> tokenizers.Tokenizer:
    kind, adds_bos = reader.value("model"), True
    if kind == "llama":
        backend = _sentencepiece(reader)
    elif kind == "gpt2":
        splitter = find_splitter(reader.file)
        backend, adds_bos = _byte_level(reader, splitter), splitter.adds_bos
    else:
        raise BadInput(
            f"{reader.file.path}: tokenizers of the kind {kind!r} are not read from GGUF files (known: llama, gpt2); "
            f"use the model's directory with tokenizer.json"
        )
    flags = {"add_bos_token": reader.value("add_bos_token", adds_bos), "add_eos_token": reader.value("add_eos_token")}
    surround(backend, {**flags, "bos_token": special.get("bos_token"), "eos_token": special.get("eos_token")})
    return backend


def _sentencepiece(reader: _Vocabulary) -> tokenizers.Tokenizer:
    pieces = [Piece(*each) for each in zip(reader.tokens, reader.scores, reader.kinds, strict=True)]
    prefix = bool(reader.value("add_space_prefix", True))
    found = SentencePieceFile(pieces, BPE, byte_fallback=True, charsmap=b"", dummy_prefix=prefix)
    return build(found, _swallowing(reader))


def _swallowing(reader: _Vocabulary) -> set[str]:
    """Phi-3's special tokens take in the whitespace behind them, which files do not say: llama.cpp knows it too."""
    if reader.file.metadata.get("general.architecture") != "phi3":
        return set()
    special = {text for text, kind in zip(reader.tokens, reader.kinds, strict=True) if kind in (CONTROL, USER_DEFINED)}
    return special - {"<unk>", "<s>", "<|endoftext|>"}


def _byte_level(reader: _Vocabulary, splitter: Splitter) -> tokenizers.Tokenizer:
    ids = {text: number for number, text in enumerate(reader.tokens)}
    merges = [tuple(merge.split(" ")) for merge in reader.list_of("merges", str)]
    if not all(len(merge) == 2 for merge in merges):
        raise reader.wrong("its merges are not pairs")
    try:
        backend = tokenizers.Tokenizer(models.BPE(ids, merges, ignore_merges=splitter.ignores_merges))
    except Exception as error:  # the library raises plain Exception for everything
        raise reader.wrong(f"its merges do not fit its tokens ({error})") from None
    backend.normalizer = splitter.normalizer
    backend.pre_tokenizer = splitter.pre_tokenizer
    backend.decoder = decoders.ByteLevel()
    for number, text in enumerate(reader.tokens):
        if (kind := reader.kinds[number]) in (UNKNOWN, CONTROL, USER_DEFINED):
            is_special = kind != USER_DEFINED
            add = backend.add_special_tokens if is_special else backend.add_tokens
            add([AddedToken(text, normalized=False, special=is_special)])
    return backend


def _templates(metadata: dict[str, Any]) -> dict[str, str]:
    begin = "tokenizer.chat_template"
    named = {key.removeprefix(f"{begin}."): text for key, text in metadata.items() if key.startswith(f"{begin}.")}
    found = {**named, "default": metadata.get(begin)}
    return {name: text for name, text in found.items() if isinstance(text, str) and text}
