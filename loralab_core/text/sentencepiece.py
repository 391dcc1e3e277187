"""A SentencePiece `tokenizer.model` as the tokenizer.json that transformers would have saved beside it.

Only the few fields of the file that decide the ids are read (sentencepiece_model.proto of google/sentencepiece, a
protocol buffer); what it asks for that has no equal here is refused by name.
"""

import struct
from collections.abc import Container, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import tokenizers
from tokenizers import AddedToken, decoders, models, normalizers, pre_tokenizers, processors

from loralab_core.errors import BadInput, explain_os_error
from loralab_core.text.added_tokens import listed_tokens

UNIGRAM, BPE = 1, 2
NORMAL, UNKNOWN, CONTROL, USER_DEFINED, BYTE = 1, 2, 3, 4, 6
SPACE = "\u2581"  # what SentencePiece writes for a space


class Piece(NamedTuple):
    text: str
    score: float
    kind: int


class SentencePieceFile(NamedTuple):
    pieces: list[Piece]
    model: int
    byte_fallback: bool
    charsmap: bytes
    dummy_prefix: bool


def tokenizer_json(path: Path, config: dict[str, Any], added: dict[str, Any]) -> bytes:
    """The same tokenizer in the `tokenizers` library's JSON. Raises BadInput.

    config, added: tokenizer_config.json and added_tokens.json, which say what is put around a text and which tokens
    came after the file was made.
    """
    try:
        found = parse(path.read_bytes())
    except OSError as error:
        raise BadInput(explain_os_error(error, f"read {path}")) from None
    except (ValueError, IndexError, struct.error) as error:
        raise BadInput(f"{path} is not a SentencePiece model ({error}); download it again") from None
    if found.model not in (UNIGRAM, BPE):
        raise BadInput(f"{path} is a SentencePiece model by words or characters, only unigram and BPE are known")
    if config.get("add_prefix_space") is False:
        found = found._replace(dummy_prefix=False)
    backend = build(found)
    _add(backend, config, added)
    surround(backend, config)
    return backend.to_str().encode()


def _add(backend: tokenizers.Tokenizer, config: dict[str, Any], added: dict[str, Any]) -> None:
    """In the order of their ids, which the library hands out one after the other."""
    listed = listed_tokens(config)
    listed |= {number: AddedToken(text, normalized=False) for text, number in added.items() if number not in listed}
    for _, token in sorted(listed.items()):
        (backend.add_special_tokens if token.special else backend.add_tokens)([token])


def surround(backend: tokenizers.Tokenizer, config: dict[str, Any]) -> None:
    """A BOS before every text, and no EOS behind it, unless `config` (tokenizer_config.json) says otherwise."""
    before, behind = (_special(backend, config, name, default) for name, default in (("bos", True), ("eos", False)))
    shape = " ".join([*(f"{token}:0" for token, _ in before), "$A:0", *(f"{token}:0" for token, _ in behind)])
    if before or behind:
        backend.post_processor = processors.TemplateProcessing(single=shape, special_tokens=[*before, *behind])


def _special(backend: tokenizers.Tokenizer, config: dict[str, Any], name: str, default: bool) -> list[tuple[str, int]]:
    wanted = config.get(f"add_{name}_token")
    token: Any = config.get(f"{name}_token") or {"bos": "<s>", "eos": "</s>"}[name]
    text = str(token.get("content") if isinstance(token, dict) else token)
    number = backend.token_to_id(text)
    return [(text, number)] if number is not None and (default if wanted is None else wanted) else []


def build(found: SentencePieceFile, swallowing: Container[str] = ()) -> tokenizers.Tokenizer:
    """`swallowing`: special tokens that take in the whitespace behind them."""
    backend = tokenizers.Tokenizer(_bpe(found) if found.model == BPE else _unigram(found))
    steps: list[Any] = [normalizers.Precompiled(found.charsmap)] if found.charsmap else []
    if found.dummy_prefix:
        steps.append(normalizers.Prepend(SPACE))
    backend.normalizer = normalizers.Sequence([*steps, normalizers.Replace(" ", SPACE)])
    if found.model == UNIGRAM:
        backend.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="never")
    undone: list[Any] = [decoders.Replace(SPACE, " "), decoders.ByteFallback(), decoders.Fuse()]
    backend.decoder = decoders.Sequence([*undone, decoders.Strip(" ", 1, 0)] if found.dummy_prefix else undone)
    special = [piece.text for piece in found.pieces if piece.kind in (UNKNOWN, CONTROL)]
    backend.add_special_tokens(
        [AddedToken(text, normalized=False, special=True, rstrip=text in swallowing) for text in special]
    )
    own = [piece.text for piece in found.pieces if piece.kind == USER_DEFINED]
    backend.add_tokens([AddedToken(text, normalized=False, special=False, rstrip=text in swallowing) for text in own])
    return backend


def _unigram(found: SentencePieceFile) -> models.Unigram:
    unknown = next((number for number, piece in enumerate(found.pieces) if piece.kind == UNKNOWN), 0)
    vocabulary = [(piece.text, piece.score) for piece in found.pieces]
    return models.Unigram(vocabulary, unk_id=unknown, byte_fallback=found.byte_fallback)


def _bpe(found: SentencePieceFile) -> models.BPE:
    ids = {piece.text: number for number, piece in enumerate(found.pieces)}
    unknown = next((piece.text for piece in found.pieces if piece.kind == UNKNOWN), None)
    return models.BPE(
        ids, _merges(found.pieces, ids), unk_token=unknown, fuse_unk=True, byte_fallback=found.byte_fallback
    )


def _merges(pieces: list[Piece], ids: dict[str, int]) -> list[tuple[str, str]]:
    """Every way to make a piece of two others, the best pieces first: SentencePiece keeps scores instead of merges."""
    merges = []
    for piece in pieces:
        if piece.kind not in (NORMAL, USER_DEFINED):
            continue
        text = piece.text
        splits = [(text[:at], text[at:]) for at in range(1, len(text)) if text[:at] in ids and text[at:] in ids]
        splits.sort(key=lambda pair: (ids[pair[0]], ids[pair[1]]))
        merges += [(-piece.score, pair) for pair in splits]
    merges.sort(key=lambda merge: merge[0])
    return [pair for _, pair in merges]


def parse(content: bytes) -> SentencePieceFile:
    """Raises ValueError, IndexError or struct.error for what is no such file."""
    pieces, trainer, normaliser = [], {}, {}
    for number, value in _fields(content):
        if number == 1:
            pieces.append(_piece(dict(_fields(value))))
        elif number == 2:
            trainer = dict(_fields(value))
        elif number == 3:
            normaliser = dict(_fields(value))
    if not pieces:
        raise ValueError("it holds no pieces")
    return SentencePieceFile(
        pieces,
        trainer.get(3, UNIGRAM),
        bool(trainer.get(35, 0)),
        normaliser.get(2, b""),
        bool(normaliser.get(3, 1)),
    )


def _piece(fields: dict[int, Any]) -> Piece:
    return Piece(fields[1].decode(), struct.unpack("<f", fields.get(2, bytes(4)))[0], fields.get(3, NORMAL))


def _fields(content: bytes) -> Iterator[tuple[int, Any]]:
    """(number, value) of a protocol buffer's fields: ints for varints, bytes for all else."""
    at = 0
    while at < len(content):
        key, at = _varint(content, at)
        kind = key & 7
        if kind == 0:
            value, at = _varint(content, at)
            yield key >> 3, value
            continue
        if kind not in (1, 2, 5):
            raise ValueError(f"field {key >> 3} is of no known kind")
        size, at = _varint(content, at) if kind == 2 else (8 if kind == 1 else 4, at)
        if at + size > len(content):
            raise ValueError("it is cut short")
        yield key >> 3, content[at : at + size]
        at += size


def _varint(content: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = content[at]
        value, shift, at = value | (byte & 127) << shift, shift + 7, at + 1
        if byte < 128:
            return value, at
        if shift > 63:
            raise ValueError("a number never ends")
