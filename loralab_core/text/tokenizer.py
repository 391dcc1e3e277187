"""The tokenizer of a model directory: ids, text, chats and incremental text."""

from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property
from hashlib import sha256
from pathlib import Path
from typing import Any

import tokenizers

from loralab_core.errors import BadInput, LoraLabError
from loralab_core.text.added_tokens import declare, listed_tokens
from loralab_core.text.chat_template import PLAIN_TEMPLATE, ChatTemplate, Rendered
from loralab_core.text.continuation import render_continued
from loralab_core.text.detokenize import TextStream, byte_token_ids
from loralab_core.text.look_alikes import Encoded, LookAlikes
from loralab_core.text.tokenizer_files import TokenizerFiles, read_tokenizer_files
from loralab_core.text.turns import Message

_PROBE = "a"
_PLAIN_NOTE = "this model has no chat template; a plain one is used (User: … Assistant: …)"


class Tokenizer:
    """Built by `Tokenizer.load`; threads may share one.

    Attributes:
        bos_id, pad_id: token ids or None. eos_ids: every id that ends generation, the tokenizer's own first.
        prefix_ids, suffix_ids: what encode(special=True) puts before and after any text.
        vocab_size: largest id + 1. model_max_length: tokens, or None where the files give no limit.
        has_template: the model brings its own chat template. template_note: a sentence when it does not, else None.
        fingerprint: sha256 (hex) over the vocabulary, special tokens, templates and end ids.
    """

    def __init__(self, backend: tokenizers.Tokenizer, files: TokenizerFiles) -> None:
        self.backend = backend
        self.fingerprint = files.fingerprint
        self.model_max_length = files.model_max_length
        self.special = files.special
        self._templates = files.templates
        vocabulary = backend.get_vocab(with_added_tokens=True)
        self.vocab_size = max(vocabulary.values(), default=-1) + 1
        self.bos_id = _known(backend, files.special.get("bos_token"), files.bos_id)
        self.pad_id = _known(backend, files.special.get("pad_token"), files.pad_id)
        self.eos_id = _known(backend, files.special.get("eos_token"), next(iter(files.end_ids), None))
        self.prefix_ids, self.suffix_ids = _surroundings(backend)
        self.has_template = bool(files.templates)
        self.template_note = None if self.has_template else _PLAIN_NOTE
        self._byte_ids = byte_token_ids(vocabulary)
        self._end_ids = files.end_ids

    @classmethod
    def load(cls, model_dir: Path | str) -> "Tokenizer":
        """Read the tokenizer of a model directory. BadInput names the file that is missing or broken."""
        directory = Path(model_dir)
        files = read_tokenizer_files(directory)
        try:
            backend = tokenizers.Tokenizer.from_buffer(files.tokenizer_json)
        except Exception as error:  # the library raises plain Exception for everything
            path = directory / "tokenizer.json"
            raise BadInput(f"{path} is not a readable tokenizer ({error}); download it again") from None
        # Files often keep the settings of the job that wrote them; here nothing is ever shortened or padded silently.
        backend.no_truncation()
        backend.no_padding()
        declared = declare(backend, listed_tokens(files.config), files.special.values())
        if declared:
            files = replace(files, fingerprint=sha256("\n".join([files.fingerprint, *declared]).encode()).hexdigest())
        return cls(backend, files)

    def encode(self, text: str, special: bool = True) -> list[int]:
        """Ids of `text`; with `special`, also the BOS/EOS the tokenizer itself adds."""
        ids: list[int] = self.backend.encode(text, add_special_tokens=special).ids
        return ids

    def encode_batch(self, texts: Sequence[str], special: bool = True) -> list[tokenizers.Encoding]:
        """Encodings (ids, character offsets) of many texts, on all cores."""
        encodings: list[tokenizers.Encoding] = self.backend.encode_batch(list(texts), add_special_tokens=special)
        return encodings

    def encode_chat(
        self,
        messages: Sequence[Message],
        add_generation_prompt: bool = True,
        tools: Any = None,
        continue_final_message: bool = False,
    ) -> list[int]:
        """Ids of the rendered conversation. Templates write their own BOS, so none is added.

        What a message holds is text, also where it looks like a special token.
        """
        return self.encode_rendered(
            self.render_marked(messages, add_generation_prompt, tools, continue_final_message)
        ).ids

    def encode_rendered(self, rendered: Rendered) -> Encoded | tokenizers.Encoding:
        """Ids and character offsets of a conversation; its `literals` stay text."""
        if rendered.literals:
            return self.look_alikes.encode(rendered.text, rendered.literals)
        return self.backend.encode(rendered.text, add_special_tokens=False)

    def decode(self, ids: Sequence[int], skip_special: bool = True) -> str:
        text: str = self.backend.decode(list(ids), skip_special_tokens=skip_special)
        return text

    def stream(self, skip_special: bool = True) -> TextStream:
        """An incremental detokeniser for one answer."""
        holding = self._byte_ids | self.special_ids if skip_special else self._byte_ids
        return TextStream(lambda ids: self.decode(ids, skip_special), holding)

    def render_chat(
        self,
        messages: Sequence[Message],
        add_generation_prompt: bool = False,
        tools: Any = None,
        continue_final_message: bool = False,
    ) -> str:
        """The conversation as the model's template writes it; BadInput carries the template's objection.

        `continue_final_message`: the text ends behind the last message's content, for the model to go on with it.
        """
        return self._render(messages, add_generation_prompt, tools, continue_final_message).text

    def render_marked(
        self,
        messages: Sequence[Message],
        add_generation_prompt: bool = False,
        tools: Any = None,
        continue_final_message: bool = False,
    ) -> Rendered:
        """`render_chat` with the character ranges of `{% generation %}` marks, and which special tokens are text."""

        def text_of(messages: Sequence[Message], tools: Any) -> str:
            return self._render(messages, add_generation_prompt, tools, continue_final_message).text

        rendered = self._render(messages, add_generation_prompt, tools, continue_final_message)
        return replace(rendered, literals=self.look_alikes.literals(rendered.text, text_of, messages, tools))

    def _render(self, messages: Sequence[Message], prompt: bool, tools: Any, continued: bool) -> Rendered:
        if not continued:
            return self.template(tools).render(messages, prompt, tools)
        if prompt:
            raise BadInput("give add_generation_prompt or continue_final_message: an answer begins anew or goes on")
        return Rendered(render_continued(self.template(tools), messages, tools))

    def template(self, tools: Any = None) -> ChatTemplate:
        """The template for a conversation with or without tools."""
        return self._tool_template if tools is not None else self._default_template

    @cached_property
    def _default_template(self) -> ChatTemplate:
        if not self._templates:
            opening = self.decode(self.prefix_ids, skip_special=False)
            return ChatTemplate(PLAIN_TEMPLATE, {"eos_token": "", **self.special, "bos": opening})
        if "default" not in self._templates:
            names = ", ".join(sorted(self._templates))
            raise BadInput(f"this model has several chat templates and none is the default: {names}")
        return ChatTemplate(self._templates["default"], self.special)

    @cached_property
    def _tool_template(self) -> ChatTemplate:
        if "tool_use" in self._templates:
            return ChatTemplate(self._templates["tool_use"], self.special)
        return self._default_template

    @cached_property
    def eos_ids(self) -> tuple[int, ...]:
        found = [self.eos_id, *self._end_ids, self.turn_end_id]
        return tuple(dict.fromkeys(token for token in found if token is not None))

    @cached_property
    def turn_end_id(self) -> int | None:
        """The special token the template writes after an answer (`<|im_end|>`, `<|eot_id|>` …), if there is one.

        Some models list only `<|endoftext|>` as their end and would talk on past the end of their turn.
        """
        turns = [{"role": "user", "content": _PROBE}, {"role": "assistant", "content": "7531"}]
        try:
            rest = self.render_chat(turns).rpartition("7531")[2].lstrip()
        except LoraLabError:
            return None
        first = self.encode(rest, special=False)[:1]
        return first[0] if first and first[0] in self.special_ids else None

    @property
    def ends_turns(self) -> bool:
        """Whether the model was taught to end an answer as its template does: then it is one for chats."""
        return self.has_template and self.turn_end_id is not None and self.turn_end_id in (self.eos_id, *self._end_ids)

    @cached_property
    def look_alikes(self) -> LookAlikes:
        """Keeps the special tokens, and other added tokens that end an answer, from being written by messages."""
        added = self.backend.get_added_tokens_decoder()
        ends = [token for token in (self.eos_id, *self._end_ids) if token is not None and token in added]
        return LookAlikes(self.backend, self.special_ids.union(ends))

    @cached_property
    def special_ids(self) -> frozenset[int]:
        """Ids of the added tokens marked special."""
        added = self.backend.get_added_tokens_decoder()
        return frozenset(token_id for token_id, token in added.items() if token.special)


def _known(backend: tokenizers.Tokenizer, token: str | None, fallback: int | None) -> int | None:
    token_id: int | None = backend.token_to_id(token) if token else None
    return fallback if token_id is None else token_id


def _surroundings(backend: tokenizers.Tokenizer) -> tuple[list[int], list[int]]:
    """What the post-processor puts before and after a text."""
    bare = backend.encode(_PROBE, add_special_tokens=False).ids
    full = backend.encode(_PROBE, add_special_tokens=True).ids
    for start in range(len(full) - len(bare) + 1):
        if full[start : start + len(bare)] == bare:
            return full[:start], full[start + len(bare) :]
    return [], []
