"""Which tokens are the assistant's: our own derivation against the {% generation %} marks as transformers reads them.

Each marked template is rendered twice: with its marks by transformers, which gives the mask of the reference, and with
the marks taken out by us, who must find the same tokens. The two differ in four places, all on purpose:

* White space behind the end-of-turn token (`<|im_end|>\\n`) is marked and not derived: generation stops at the token,
  so the model never has to write what the template puts behind it.
* The token that holds both the end of the prompt and the beginning of the answer (`\\n\\n\\n`, where an answer begins
  with line breaks) is marked and not derived: the prompt ends inside it, so it is never generated.
* Qwen2.5's marks begin one line break early, which the generation prompt already holds.
* A turn that says nothing is marked and not derived: its end token would teach nothing but to fall silent.
"""

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import cache
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from loralab_core.text.encode import Encoder
from loralab_core.text.samples import ChatSample
from loralab_core.text.spans import speaks
from loralab_core.text.tokenizer import Tokenizer
from loralab_core.text.tokenizer_files import read_tokenizer_files
from tests.text.helpers import CALL, MARKED, oracle_tokenizer

QWEN, PHI = "tokenizers/qwen2.5-0.5b-instruct", "tokenizers/phi-3-mini"
# Tokenizers that have the template's own tokens; Llama 3's and Gemma 3's are not in the fixtures and are made up.
KNOWN: dict[str, tuple[str, dict[str, str], tuple[str, ...]]] = {
    "gemma3_training.jinja": (
        "models/stories3M",
        {"bos_token": "<bos>"},
        ("<bos>", "<start_of_turn>", "<end_of_turn>"),
    ),
    "llama3_training.jinja": (
        "tokenizers/smollm2-instruct",
        {"bos_token": "<|begin_of_text|>", "eos_token": "<|eot_id|>"},
        ("<|begin_of_text|>", "<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>"),
    ),
    "phi3_training.jinja": (PHI, {}, ()),
    "qwen2_5_training.jinja": (QWEN, {}, ()),
    "qwen3_training.jinja": (QWEN, {}, ()),
}
MARKS = re.compile(r"(\{%-?)\s*(end)?generation\s*(-?%\})")


@dataclass
class Pair:
    """One template with its marks (for transformers) and without (for us)."""

    name: str
    marked: str
    oracle: Any
    ours: Tokenizer

    def expected(self, messages: list[dict[str, Any]]) -> tuple[list[int], list[int]]:
        """Ids, and transformers' mask less what the module's docstring lists."""
        found = self.oracle.apply_chat_template(
            messages, chat_template=self.marked, return_dict=True, return_assistant_tokens_mask=True
        )
        text = self.ours.render_chat(messages)
        offsets = self.ours.encode_batch([text], special=False)[0].offsets
        mask = np.zeros(len(offsets), int)
        for start, end in self._spoken(messages):
            inside = [i for i, (begin, _) in enumerate(offsets) if start <= begin < end]
            last = max((i for i in inside if found["input_ids"][i] in self.ours.eos_ids), default=inside[-1])
            assert not text[offsets[last][1] : end].strip()
            mask[[i for i in inside if i <= last]] = 1
        assert (mask <= found["assistant_masks"]).all()
        return list(found["input_ids"]), mask.tolist()

    def _spoken(self, messages: list[dict[str, Any]]) -> Iterator[tuple[int, int]]:
        """transformers' ranges of the turns that say something; phi3 marks its last end token by itself."""
        from transformers.utils.chat_template_utils import render_jinja_template

        _, spans = render_jinja_template(
            [messages], chat_template=self.marked, return_assistant_tokens_mask=True, **self.oracle.special_tokens_map
        )
        turns = [message for message in messages if message["role"] == "assistant"]
        early = self.name == "qwen2_5_training.jinja"
        for number, (start, end) in enumerate(spans[0]):
            if speaks(turns[min(number, len(turns) - 1)]):
                yield start + early, end


@pytest.fixture(scope="module")
def base(fixtures_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], tuple[Path, Tokenizer]]:
    """The directory and the tokenizer that go with a marked template."""

    @cache
    def load(name: str, special: tuple[tuple[str, str], ...], added: tuple[str, ...]) -> tuple[Path, Tokenizer]:
        directory = fixtures_dir / name
        if added:
            directory = tmp_path_factory.mktemp("model")
            _write(directory, fixtures_dir / name, dict(special), added)
        return directory, Tokenizer.load(directory)

    return lambda template: load(KNOWN[template][0], tuple(KNOWN[template][1].items()), KNOWN[template][2])


@pytest.fixture(params=MARKED, scope="module")
def pair(request: pytest.FixtureRequest, fixtures_dir: Path, base) -> Pair:
    marked = (fixtures_dir / "chat_templates" / request.param).read_text(encoding="utf-8")
    directory, tokenizer = base(request.param)
    ours = _with_template(directory, tokenizer, marked)
    assert not ours.template().marks_generation
    return Pair(request.param, marked, oracle_tokenizer(directory), ours)


def _with_template(directory: Path, tokenizer: Tokenizer, source: str) -> Tokenizer:
    """The tokenizer with a template without its marks; an empty statement in the place of each keeps what a mark does
    to the white space around it."""
    unmarked = MARKS.sub(r"\1 if false \3{% endif \3", source)
    return Tokenizer(tokenizer.backend, replace(read_tokenizer_files(directory), templates={"default": unmarked}))


def _write(directory: Path, source: Path, special: dict[str, str], added: tuple[str, ...]) -> None:
    saved = json.loads((source / "tokenizer.json").read_bytes())
    first = max(chain(saved["model"]["vocab"].values(), (token["id"] for token in saved["added_tokens"]))) + 1
    flags = dict.fromkeys(("single_word", "lstrip", "rstrip", "normalized"), False)
    saved["added_tokens"] += [{"id": first + i, "content": t, "special": True, **flags} for i, t in enumerate(added)]
    saved["truncation"] = saved["padding"] = None
    (directory / "tokenizer.json").write_text(json.dumps(saved))
    config = json.loads((source / "tokenizer_config.json").read_bytes()) | special
    config.pop("chat_template", None)
    (directory / "tokenizer_config.json").write_text(json.dumps(config))


PIECES = [
    "Hi",
    "hello world",
    " padded ",
    "\n\nlines\n",
    "日本語",
    "👩‍👩‍👧",
    "assistant",
    "user",
    "1. a\n2. b",
    "<b>",
    "é e\u0301",
    "  ",
]
TEXT = st.lists(st.sampled_from(PIECES), max_size=4).map("".join)


@st.composite
def conversations(draw: st.DrawFn, tools: bool, thinks: bool) -> list[dict[str, Any]]:
    turns = [{"role": "system", "content": draw(TEXT)}] if draw(st.booleans()) else []
    for _ in range(draw(st.integers(1, 3))):
        question = draw(TEXT)
        turns.append({"role": "user", "content": question})
        if tools and draw(st.booleans()):
            turns.append({**CALL, "content": draw(TEXT), "tool_calls": CALL["tool_calls"] * draw(st.integers(1, 2))})
            turns.append({"role": "tool", "content": draw(TEXT)})
        answer = {"role": "assistant", "content": draw(st.one_of(TEXT, st.just(question)))}
        if thinks and draw(st.booleans()):
            answer["reasoning_content"] = draw(TEXT)
        elif thinks and draw(st.booleans()):
            answer["content"] = f"<think>\n{draw(TEXT)}\n</think>\n\n{answer['content']}"
        turns.append(answer)
    return turns


def test_what_we_derive_is_what_the_marks_say(pair: Pair) -> None:
    knows_tools = "tool_calls" in pair.marked

    @settings(max_examples=30, deadline=None, suppress_health_check=list(HealthCheck))
    @given(conversations(knows_tools, "reasoning_content" in pair.marked))
    def check(messages: list[dict[str, Any]]) -> None:
        encoder = Encoder(pair.ours)
        ((ids, mask),) = encoder.encode(list(encoder.segments(ChatSample(messages))))
        expected = pair.expected(messages)
        assert (ids.tolist(), mask.tolist()) == expected

    check()


@pytest.mark.parametrize("name", ["gemma3", "llama3", "phi3", "qwen2_5"])
def test_the_original_of_a_marked_template_gives_the_same_mask(fixtures_dir: Path, base, name: str) -> None:
    """qwen3's original drops earlier reasoning where its marked variant keeps it: another text, so not compared."""
    directory, tokenizer = base(f"{name}_training.jinja")
    turns = [{"role": role, "content": f"{role} {i}\n"} for i in range(3) for role in ("user", "assistant")]
    found = []
    for variant in (name, f"{name}_training"):
        source = (fixtures_dir / "chat_templates" / f"{variant}.jinja").read_text(encoding="utf-8")
        encoder = Encoder(_with_template(directory, tokenizer, source))
        ((ids, mask),) = encoder.encode(list(encoder.segments(ChatSample(turns))))
        found.append((ids.tolist(), mask.tolist()))
    assert found[0] == found[1] and any(found[0][1])
