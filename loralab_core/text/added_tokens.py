"""Tokens that tokenizer_config.json declares, and which tokenizer.json may lack or describe otherwise."""

from collections.abc import Iterable
from typing import Any

import tokenizers
from tokenizers import AddedToken


def listed_tokens(config: dict[str, Any]) -> dict[int, AddedToken]:
    """`added_tokens_decoder` of tokenizer_config.json, by id, in order; whatever is no token there is passed over."""
    listed = config.get("added_tokens_decoder")
    entries = listed.items() if isinstance(listed, dict) else ()
    tokens = {int(number): entry for number, entry in entries if number.isdigit() and isinstance(entry, dict)}
    return {
        number: _token(tokens[number]) for number in sorted(tokens) if isinstance(tokens[number].get("content"), str)
    }


def _token(entry: dict[str, Any]) -> AddedToken:
    known = ("single_word", "lstrip", "rstrip", "normalized", "special")
    flags = {name: bool(entry[name]) for name in known if name in entry}
    return AddedToken(entry["content"], **flags)


def declare(backend: tokenizers.Tokenizer, listed: dict[int, AddedToken], named: Iterable[str]) -> list[str]:
    """Make what the config declares known to `backend` as transformers does. Returns what that changed.

    listed: tokens by id; they win over what tokenizer.json says of them. named: texts of the special tokens (eos_token
    and so on). A token is left out where its id would be another than the listed one, and a named one where the
    vocabulary does not hold it: transformers would hand out an id for which the model has no row.
    """
    before = backend.get_added_tokens_decoder()
    following, tokens = backend.get_vocab_size(with_added_tokens=True), []
    for number, token in listed.items():
        known = backend.token_to_id(token.content)
        if number == (following if known is None else known):
            tokens.append(token)
            following += known is None
    backend.add_tokens(tokens)
    marked = {token.content for token in backend.get_added_tokens_decoder().values()}
    unmarked = [text for text in named if text not in marked and backend.token_to_id(text) is not None]
    backend.add_special_tokens([AddedToken(text, special=True, normalized=False) for text in unmarked])
    after = backend.get_added_tokens_decoder()
    return [f"{number} {token!r}" for number, token in after.items() if repr(before.get(number)) != repr(token)]
