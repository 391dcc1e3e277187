"""Special tokens typed as text: what stands in a message is text, and only the template writes special tokens.

Which of them a rendered conversation owes to its messages is found by rendering it a second time, with a mark (a
Unicode noncharacter) before each look-alike. To encode it, every special token of the template's own gets that mark,
and so does its name in a second tokenizer over the same model: unmarked ones mean nothing to it, and it cuts, prepends
and strips around the marked ones as the first one does.
"""

import re
from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cached_property
from itertools import pairwise
from typing import Any, NamedTuple

import tokenizers

from loralab_core.errors import BadInput
from loralab_core.text.turns import Message

Span = tuple[int, int]
Render = Callable[[Sequence[Message], Any], str]

_MARKS = [chr(code) for code in range(0xFDD0, 0xFDF0)]  # assigned to nothing for ever, and no normaliser changes them
_ANSWER = ("content", "reasoning_content", "thinking", "reasoning")


class Encoded(NamedTuple):
    """`offsets`: the characters [start, end) of each token, as in tokenizers.Encoding."""

    ids: list[int]
    offsets: list[Span]


class LookAlikes:
    """Of one tokenizer; threads may share it."""

    def __init__(self, backend: tokenizers.Tokenizer, ids: Iterable[int]) -> None:
        """`ids`: the added tokens that no message may write."""
        added = backend.get_added_tokens_decoder()
        self._backend = backend
        self._names = {token_id: added[token_id].content for token_id in ids}
        self._readers: dict[str, tuple[tokenizers.Tokenizer, dict[int, int]]] = {}

    def literals(
        self, text: str, render: Render, messages: Sequence[Message], tools: Any = None, answers_too: bool = True
    ) -> tuple[int, ...]:
        """Where look-alikes from the messages and tools begin in `text`, which is `render(messages, tools)`.

        `answers_too`: False leaves the assistant's own words as they are written. Where a mark would change what the
        template writes, since it looks into that message, the message is left as written too.
        """
        if not self._found_in(messages) and not self._found_in(tools):  # copying all of it takes twice as long
            return ()
        mark = _unused(text)
        plain = [*messages, tools]
        marked = [
            *(self._marked_message(message, mark, answers_too) for message in messages),
            self._marked(tools, mark),
        ]
        if marked == plain:
            return ()
        found = _rendered(render, marked)
        if found.replace(mark, "") != text:
            found = self._what_holds(text, render, plain, marked, mark)
        return tuple(match.start() - before for before, match in enumerate(re.finditer(mark, found)))

    def _found_in(self, value: Any) -> bool:
        if isinstance(value, str):
            return self._pattern.search(value) is not None
        if isinstance(value, dict):
            return any(map(self._found_in, value)) or any(map(self._found_in, value.values()))
        return isinstance(value, (list, tuple)) and any(map(self._found_in, value))

    def _what_holds(self, text: str, render: Render, plain: list[Any], marked: list[Any], mark: str) -> str:
        """`text` with marks from as many messages as it stands."""
        found = text
        for index, unit in enumerate(marked):
            if unit != plain[index]:
                tried = [*plain[:index], unit, *plain[index + 1 :]]
                rendered = _rendered(render, tried)
                if rendered.replace(mark, "") == text:
                    found, plain = rendered, tried
        return found

    def _marked_message(self, message: Message, mark: str, answers_too: bool) -> Message:
        kept = () if answers_too or message.get("role") != "assistant" else _ANSWER
        return {key: value if key in kept else self._marked(value, mark) for key, value in message.items()}

    def _marked(self, value: Any, mark: str) -> Any:
        if isinstance(value, str):
            return self._pattern.sub(lambda match: mark + match[0], value)
        if isinstance(value, (list, tuple)):
            return [self._marked(item, mark) for item in value]
        if isinstance(value, dict):
            return {self._marked(key, mark): self._marked(item, mark) for key, item in value.items()}
        return value

    @cached_property
    def _pattern(self) -> re.Pattern[str]:
        return re.compile(_any_of(set(self._names.values())) if self._names else "(?!)")

    def encode(self, text: str, literals: Sequence[int]) -> Encoded:
        """`text` with what begins at `literals` as text; no BOS or EOS is added."""
        mark = _unused(text)
        written = set(self._specials(text)).difference(literals)
        borders = [0, *sorted(written), len(text)]
        marked = mark.join(text[start:end] for start, end in pairwise(borders))
        marks = [match.start() for match in re.finditer(mark, marked)]
        reader, own_ids = self._reader(mark)
        encoding = reader.encode(marked, add_special_tokens=False)
        ids: list[int] = []
        offsets: list[Span] = []
        for token, span in _tokens(encoding):
            start, end = (place - bisect_left(marks, place) for place in span)
            read = [own_ids[token]] if token in own_ids else self._pieces(token, text[start:end])
            ids += read
            offsets += [(start, end)] * len(read)
        return Encoded(ids, offsets)

    def _specials(self, text: str) -> Iterator[int]:
        """Where the tokenizer itself sees special tokens: it overlooks some, and takes white space around others in."""
        for token, (start, end) in _tokens(self._backend.encode(text, add_special_tokens=False)):
            if token in self._names and (place := text.find(self._names[token], start, end)) >= 0:
                yield place

    def _pieces(self, token: int, text: str) -> list[int]:
        """`token`, unless the model put a special token together from letters: Unigram models know them as words."""
        if self._names.get(token) != text:
            return [token]
        model = self._backend.model
        return [piece.id for part in (text[:1], text[1:]) for piece in model.tokenize(part)]

    def _reader(self, mark: str) -> tuple[tokenizers.Tokenizer, dict[int, int]]:
        """What reads marked special tokens only, and its ids of added tokens → the tokenizer's own."""
        if mark not in self._readers:
            reader = _renamed(self._backend, {name: mark + name for name in self._names.values()})
            ids = {token.content: own for own, token in self._backend.get_added_tokens_decoder().items()}
            added = reader.get_added_tokens_decoder().items()
            self._readers[mark] = reader, {token: ids[made.content.removeprefix(mark)] for token, made in added}
        return self._readers[mark]


def _tokens(encoding: tokenizers.Encoding) -> Iterable[tuple[int, Span]]:
    return zip(encoding.ids, encoding.offsets, strict=True)


def _rendered(render: Render, units: list[Any]) -> str:
    try:
        return render(units[:-1], units[-1])
    except BadInput:
        return ""


def _unused(text: str) -> str:
    for mark in _MARKS:
        if mark not in text:
            return mark
    raise BadInput("this conversation holds all of the noncharacters U+FDD0 to U+FDEF; take one of them out of it")


def _any_of(words: set[str]) -> str:
    """A pattern for the longest of `words`, as a tree: some tokenizers have thousands, most beginning alike."""
    rests: dict[str, set[str]] = {}
    for word in sorted(words - {""}):
        rests.setdefault(word[0], set()).add(word[1:])
    branches = [re.escape(first) + _any_of(rest) for first, rest in rests.items()]
    if len(branches) == 1 and "" not in words:
        return branches[0]
    return f"(?:{'|'.join(branches)}){'?' if '' in words else ''}" if branches else ""


def _renamed(backend: tokenizers.Tokenizer, names: dict[str, str]) -> tokenizers.Tokenizer:
    """A tokenizer over the same model and added tokens, those in `names` renamed; added tokens have other ids."""
    made = tokenizers.Tokenizer(backend.model)
    made.normalizer, made.pre_tokenizer = backend.normalizer, backend.pre_tokenizer
    made.post_processor = backend.post_processor  # some cut white space off the offsets
    for _, token in sorted(backend.get_added_tokens_decoder().items()):
        add = made.add_special_tokens if token.special else made.add_tokens
        add([_called(token, names.get(token.content, token.content))])
    return made


def _called(token: tokenizers.AddedToken, name: str) -> tokenizers.AddedToken:
    return tokenizers.AddedToken(
        name,
        single_word=token.single_word,
        lstrip=token.lstrip,
        rstrip=token.rstrip,
        normalized=token.normalized,
        special=token.special,
    )
