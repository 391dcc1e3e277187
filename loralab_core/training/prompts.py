"""Prompts a run answers at its beginning and at every checkpoint, so that one can watch what it learns."""

import time
from collections.abc import Callable, Generator
from dataclasses import dataclass, field
from typing import Literal

from loralab_core.errors import BadInput
from loralab_core.inference.generate import Answer, prompt_ids
from loralab_core.lora.adapter import Adapter
from loralab_core.lora.loaded import LoadedModel
from loralab_core.runs.config import TrainConfig
from loralab_core.runs.events import Event
from loralab_core.text.corpus_files import expand
from loralab_core.text.formats import format_of
from loralab_core.training.tick import TICK
from loralab_core.wire.messages import Sampling

Form = Literal["chat", "text"]
PLAIN_FORMATS = ("document", "text")


@dataclass
class Prompts:
    """`form`: asked in the model's chat template, or continued as a text. `ids`: as the model reads each."""

    form: Form
    texts: tuple[str, ...] = ()
    ids: tuple[list[int], ...] = ()
    tokens: int = 0  # of an answer, at most
    answered: set[tuple[int, int]] = field(default_factory=set)  # (step, index)

    def skip(self, past: list[Event], step: int) -> None:
        """What an earlier sitting answered is not answered again; what stands above `step` is void."""
        answered = {(event["step"], event["index"]) for event in past if event["event"] == "sample"}
        self.answered |= {place for place in answered if place[0] <= step}


def prepare_prompts(config: TrainConfig, lm: LoadedModel, decided: Form | None) -> Prompts:
    """`decided`: the form that an earlier sitting found. Raises BadInput, naming a prompt that cannot be asked."""
    if not config.prompts:
        return Prompts(decided or "text")
    form = decided or _fitting_form(config, lm)
    ids = tuple(_encode(prompt, lm, form) for prompt in config.prompts)
    return Prompts(form, config.prompts, ids, config.prompt_tokens)


def _fitting_form(config: TrainConfig, lm: LoadedModel) -> Form:
    tokenizer = lm.text()
    if not tokenizer.has_template:
        return "text"
    if tokenizer.ends_turns:
        return "chat"
    chats = any(format_of(file).kind not in PLAIN_FORMATS for file in expand(config.corpus))
    return "chat" if chats else "text"


def _encode(prompt: str, lm: LoadedModel, form: Form) -> list[int]:
    try:
        if form == "chat":
            return prompt_ids(lm, messages=[{"role": "user", "content": prompt}])
        return prompt_ids(lm, prompt=prompt)
    except BadInput as error:
        shown = prompt if len(prompt) <= 40 else f"{prompt[:40]}…"
        raise BadInput(f"the prompt {shown!r} cannot be answered: {error}") from None


def answer(
    lm: LoadedModel, adapter: Adapter | None, prompts: Prompts, step: int, stopping: Callable[[], bool]
) -> Generator[Event, None, None]:
    """Every prompt once at this step, greedily, with the adapter as it is; TICKs between tokens, `sample` events.

    Draws nothing and trains nothing, so a run ends with the same bytes with prompts and without.
    """
    for index, prompt in enumerate(prompts.texts):
        if (step, index) in prompts.answered:
            continue
        made, seconds = _answer(lm, adapter, prompts, index), 0.0
        pieces = made.pieces()
        while not stopping():
            began = time.perf_counter()
            piece = next(pieces, None)
            seconds += time.perf_counter() - began
            if piece is None:
                prompts.answered.add((step, index))
                said = {"prompt": prompt, "text": made.text, "seconds": seconds}
                yield {"event": "sample", "step": step, "index": index, **said}
                break
            yield TICK


def _answer(lm: LoadedModel, adapter: Adapter | None, prompts: Prompts, index: int) -> Answer:
    sampling = Sampling(max_new_tokens=prompts.tokens)
    return Answer(lm, prompts.ids[index], sampling, adapter, continues=prompts.form == "text")
