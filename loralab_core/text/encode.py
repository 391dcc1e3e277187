"""A row into token ids and the mask of what is trained."""

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from hashlib import blake2b
from operator import itemgetter

import msgspec
import numpy as np
import numpy.typing as npt
import tokenizers

from loralab_core.errors import BadInput
from loralab_core.text.chunks import Chunk, Chunker
from loralab_core.text.look_alikes import Encoded
from loralab_core.text.samples import ChatSample, Sample, TextSample
from loralab_core.text.spans import Span, assistant_spans, speaks
from loralab_core.text.tokenizer import Tokenizer
from loralab_core.text.turns import Message

Mask = npt.NDArray[np.uint8]
Ids = npt.NDArray[np.uint32]

_start = itemgetter(0)
_END_WITHIN = 2  # tokens of white space that may stand between an answer and its end-of-turn token


@dataclass(frozen=True, slots=True)
class Segment:
    """A stretch of text that is encoded in one call. A row is one segment, or several where its text is long.

    `context`: leading characters whose tokens are dropped. `spans`: trained character ranges; None: all of them.
    `exact`: spans end where they say (they come from {% generation %} marks). `chat`: rendered by a template, which
    writes its own BOS and EOS. `literals`: where special tokens are text. `key`: what the row's hash is made of.
    """

    text: str
    key: bytes
    context: int = 0
    spans: tuple[Span, ...] | None = None
    exact: bool = False
    chat: bool = False
    literals: tuple[int, ...] = ()
    opens: bool = True
    closes: bool = True


@dataclass
class Encoder:
    """Encodes for one tokenizer. `prompt_loss`: chats are trained on whole, prompts too.

    After use, `refused` counts the conversations the template would not render; `refusal` is its first objection.
    """

    tokenizer: Tokenizer
    prompt_loss: bool = False
    refused: int = 0
    refusal: str = ""
    _chunker: Chunker = field(default_factory=Chunker)

    def segments(self, sample: Sample) -> Iterator[Segment]:
        """The segments of a row; none where it is blank or the template refuses it."""
        if isinstance(sample, TextSample):
            if sample.text.strip():
                yield from map(_text_segment, Chunker().feed(sample.text, closes=True))
        else:
            try:
                yield self._chat_segment(sample)
            except BadInput as refusal:
                self.refused += 1
                self.refusal = self.refusal or str(refusal)

    def text_segments(self, text: str, closes: bool) -> Iterator[Segment]:
        """The segments that `text`, the next part of a document that is read in parts, completes."""
        for chunk in self._chunker.feed(text, closes):
            if chunk.text.strip() or not (chunk.opens and chunk.closes):
                yield _text_segment(chunk)

    def _chat_segment(self, sample: ChatSample) -> Segment:
        template = self.tokenizer.template(sample.tools)
        messages = sample.messages
        if "tool_calls" not in template.source:
            messages = [_without_calls(message) for message in messages]
        text, spans = assistant_spans(template, messages, sample.tools)
        key = msgspec.json.encode([messages, sample.tools])
        # An empty answer would teach nothing but to fall silent.
        trained = None if self.prompt_loss else tuple(spans) if any(map(speaks, messages)) else ()
        # A corpus' author writes the assistant's special tokens on purpose ([TOOL_CALLS], <|python_tag|>): the model is
        # to learn to say them. What others say, it must not take for its own or for the template's.
        literals = self.tokenizer.look_alikes.literals(
            text,
            lambda turns, tools: template.render(turns, tools=tools).text,
            messages,
            sample.tools,
            answers_too=False,
        )
        return Segment(text, key, spans=trained, exact=template.marks_generation, chat=True, literals=literals)

    def encode(self, segments: Sequence[Segment]) -> list[tuple[Ids, Mask]]:
        """Ids and mask of each segment, on all cores. A document's BOS and EOS are trained like its text."""
        texts = ["" if segment.literals else segment.text for segment in segments]
        if all(segment.spans is None and not segment.context for segment in segments):
            encodings = self.tokenizer.backend.encode_batch_fast(texts, add_special_tokens=False)  # no offsets
        else:
            encodings = self.tokenizer.encode_batch(texts, special=False)
        return [
            self._finish(segment, self._with_literals(segment) if segment.literals else encoding)
            for segment, encoding in zip(segments, encodings, strict=True)
        ]

    def _with_literals(self, segment: Segment) -> Encoded:
        return self.tokenizer.look_alikes.encode(segment.text, segment.literals)

    def _finish(self, segment: Segment, encoding: Encoded | tokenizers.Encoding) -> tuple[Ids, Mask]:
        ids: list[int] = encoding.ids
        if segment.spans is not None:
            return np.array(ids, np.uint32), self._mask(ids, encoding.offsets, segment)
        if segment.context:
            ids = ids[bisect_left(encoding.offsets, segment.context, key=_start) :]
        if not segment.chat:
            ids = [*self._before(segment), *ids, *self._after(segment, ids)]
        return np.array(ids, np.uint32), np.ones(len(ids), np.uint8)

    def _before(self, segment: Segment) -> list[int]:
        return self.tokenizer.prefix_ids if segment.opens else []

    def _after(self, segment: Segment, ids: list[int]) -> list[int]:
        """EOS behind a document, unless its text or the tokenizer puts one there already."""
        if not segment.closes:
            return []
        eos = self.tokenizer.eos_id
        added = self.tokenizer.suffix_ids
        if eos is None or eos in added or ids[-1:] == [eos]:
            return added
        return [*added, eos]

    def _mask(self, ids: list[int], offsets: list[Span], segment: Segment) -> Mask:
        mask = np.zeros(len(ids), np.uint8)
        for start, end in segment.spans or ():
            low = bisect_left(offsets, start, key=_start)
            high = bisect_left(offsets, end, lo=low, key=_start)
            mask[low : high if segment.exact else self._turn_end(ids, low, high, segment.text, offsets)] = 1
        return mask

    def _turn_end(self, ids: list[int], low: int, high: int, text: str, offsets: list[Span]) -> int:
        """Behind the last end token within [low, high); else behind one that follows at once; else `high`."""
        ends = self.tokenizer.eos_ids
        for position in range(high - 1, low - 1, -1):
            if ids[position] in ends:
                return position + 1
        for position in range(high, min(high + _END_WITHIN + 1, len(ids))):
            if ids[position] in ends:
                return position + 1
            if text[slice(*offsets[position])].strip():
                break
        return high


def row_hash(segments: Iterable[Segment]) -> int:
    """64 bits of the row's content: the same row has the same hash with any tokenizer and at any place."""
    digest = blake2b(digest_size=8)
    for segment in segments:
        digest.update(segment.key)
    return int.from_bytes(digest.digest(), "little")


def _text_segment(chunk: Chunk) -> Segment:
    key = chunk.text[chunk.context :].encode("utf-8", "surrogatepass")
    return Segment(chunk.text, key, chunk.context, opens=chunk.opens, closes=chunk.closes)


def _without_calls(message: Message) -> Message:
    """For templates that know no tools: a call is the assistant's text, and its result comes from the user."""
    if message["role"] == "tool":
        return {"role": "user", "content": message.get("content", "")}
    if not (calls := message.get("tool_calls")):
        return message
    functions = [call.get("function", call) if isinstance(call, dict) else call for call in calls]
    text = "\n".join(msgspec.json.encode(function).decode() for function in functions)
    said = message.get("content", "")
    return {"role": "assistant", "content": f"{said}\n{text}" if said else text}
