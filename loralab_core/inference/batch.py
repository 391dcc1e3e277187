"""Several prompts answered side by side: one pass of the model draws a token of each."""

from collections.abc import Iterator, Sequence
from typing import Any, TypedDict, Unpack

from loralab_core.errors import BadInput
from loralab_core.inference.generate import Answer, prompt_ids
from loralab_core.inference.reader import Reader
from loralab_core.inference.room import room_bytes, rows_bytes
from loralab_core.lora.loaded import LoadedModel
from loralab_core.models import Decoder

AT_MOST = 16  # prompts at a time: more hardly go faster


class Drawing(TypedDict, total=False):
    """The fields of Sampling."""

    temperature: float
    top_k: int
    top_p: float
    min_p: float
    repetition_penalty: float
    stop: Sequence[str]
    seed: int
    max_new_tokens: int


def draw_together(answers: Sequence[Answer]) -> Iterator[int]:
    """Draw a token of every answer that has not ended, again and again; yields how many have ended after each.

    All are of one model and one adapter. An answer that has ended leaves, and makes the others faster.
    """
    going = [answer for answer in answers if not answer.ended]
    if not going:
        return
    reader = Reader(going[0].lm, [answer.ids for answer in going], going[0].adapter)
    while going:
        for answer, logits in zip(going, reader.logits(), strict=True):
            answer.take(logits)
        rows = [row for row, answer in enumerate(going) if not answer.ended]
        going = [going[row] for row in rows]
        reader.keep(rows)
        reader.add([answer.tokens[-1] for answer in going])
        yield len(answers) - len(going)


def batches(
    model: Decoder, prompts: Sequence[Sequence[int]], new_tokens: int, at_most: int, room: int
) -> Iterator[range]:
    """Which prompts are answered together, in their order: up to `at_most`, fewer where `room` bytes do not hold them.

    One that is too large for that is tried alone.
    """
    start = 0
    while start < len(prompts):
        longest, stop = 0, start
        while stop < min(len(prompts), start + at_most):
            longest = max(longest, len(prompts[stop]))
            if stop > start and rows_bytes(model, stop + 1 - start, longest, new_tokens) > room:
                break
            stop += 1
        yield range(start, stop)
        start = stop


def generate_batch(
    lm: LoadedModel,
    prompts: Sequence[str | Sequence[dict[str, Any]]],
    *,
    batch_size: int = AT_MOST,
    **drawing: Unpack[Drawing],
) -> Iterator[str]:
    """What `generate` says to each prompt alone, whole texts in the prompts' order; options as there.

    Each prompt is a text or chat messages. `batch_size`: prompts at a time, at most. Raises BadInput, before anything
    is answered, naming a prompt that cannot be.
    """
    from loralab_core.wire.sampling import Sampling

    sampling = Sampling(**{**drawing, "stop": tuple(drawing.get("stop", ()))})  # type: ignore[arg-type]
    adapter = lm.adapters[lm.current] if lm.current is not None else None
    ids = [_ids(lm, prompt, number) for number, prompt in enumerate(prompts, 1)]
    for batch in batches(lm.model, ids, sampling.max_new_tokens, batch_size, room_bytes(lm.device)):
        answers = [Answer(lm, ids[each], sampling, adapter, continues=isinstance(prompts[each], str)) for each in batch]
        for _ in draw_together(answers):
            pass
        yield from (answer.text for answer in answers)


def _ids(lm: LoadedModel, prompt: str | Sequence[dict[str, Any]], number: int) -> list[int]:
    try:
        return prompt_ids(lm, prompt=prompt) if isinstance(prompt, str) else prompt_ids(lm, messages=prompt)
    except BadInput as error:
        raise BadInput(f"prompt {number}: {error}") from None
