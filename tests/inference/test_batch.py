"""Prompts answered side by side: each answer is what the prompt gets alone."""

from pathlib import Path

import pytest
import torch

import loralab_core as ll
from loralab_core.errors import BadInput
from loralab_core.inference.batch import batches, draw_together, generate_batch
from loralab_core.inference.generate import Answer, prompt_ids
from loralab_core.inference.reader import Reader
from loralab_core.inference.room import rows_bytes
from loralab_core.lora import LoadedModel
from loralab_core.models import load_decoder
from loralab_core.wire.messages import Sampling
from tests.models.families import FAMILIES, ids_for, saved

CPU = torch.device("cpu")
PROMPTS = ["Once upon a time, there was a little", "The", "Tom and Sam went to the park. They saw a big dog"]
CASES = [(family, number) for family, makers in FAMILIES.items() for number in range(len(makers))]


def alone(lm: LoadedModel, ids: list[int], sampling: Sampling) -> Answer:
    made = Answer(lm, ids, sampling)
    for _ in made.pieces():
        pass
    return made


def greedy(reader: Reader, rows: int, count: int) -> tuple[list[list[int]], list[torch.Tensor]]:
    said: list[list[int]] = [[] for _ in range(rows)]
    seen = []
    for _ in range(count):
        seen.append(reader.logits())
        tokens = seen[-1].argmax(-1).tolist()
        for row, token in zip(said, tokens, strict=True):
            row.append(token)
        reader.add(tokens)
    return said, seen


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case[0]}-{case[1]}")
def test_rows_of_any_length_say_what_each_says_alone(case: tuple[str, int], tmp_path: Path) -> None:
    """Windows of 9, learned positions, soft caps, experts, long rope on both sides of its border at 32."""
    directory, _ = saved(*case, tmp_path)
    lm = LoadedModel(load_decoder(directory, "fp32", CPU), None, directory, "fp32", CPU)
    prompts = [ids_for(97, 1, time)[0].tolist() for time in (3, 29, 11, 40)]
    together, logits = greedy(Reader(lm, prompts), len(prompts), 12)
    for row, prompt in enumerate(prompts):
        said, expected = greedy(Reader(lm, [prompt]), 1, 12)
        assert together[row] == said[0]
        for step, each in enumerate(expected):
            assert torch.allclose(logits[step][row], each[0], atol=1e-4 * float(each.abs().max()))


def test_long_rope_turns_over_within_an_answer_as_in_the_reference(tmp_path: Path) -> None:
    directory, theirs = saved("phi3", 2, tmp_path)
    lm = LoadedModel(load_decoder(directory, "fp32", CPU), None, directory, "fp32", CPU)
    prompt = ids_for(97, 1, 11)
    how = {"attention_mask": torch.ones_like(prompt), "do_sample": False, "eos_token_id": None, "pad_token_id": 0}
    expected = theirs.generate(prompt, max_new_tokens=60, **how)[0, 11:]
    assert greedy(Reader(lm, prompt.tolist()), 1, 60)[0][0] == expected.tolist()


HOW: tuple[dict[str, object], ...] = (
    {},
    {"temperature": 1.0, "seed": 5, "top_p": 0.9},
    {"temperature": 0.9, "seed": 6, "top_k": 40, "min_p": 0.02},
    {"repetition_penalty": 1.2, "stop": (".",)},
)


@pytest.mark.parametrize("how", HOW, ids=("greedy", "top-p", "min-p", "stop"))
def test_prompts_answered_together_say_what_each_says_alone(lm: LoadedModel, how: dict[str, object]) -> None:
    sampling = Sampling(max_new_tokens=40, **how)  # type: ignore[arg-type]
    answers = [Answer(lm, prompt_ids(lm, prompt=prompt), sampling) for prompt in PROMPTS]
    ended = list(draw_together(answers))
    assert ended == sorted(ended) and ended[-1] == 3
    for answer in answers:
        expected = alone(lm, answer.ids, sampling)
        assert (answer.text, answer.tokens, answer.finish) == (expected.text, expected.tokens, expected.finish)


def test_a_long_neighbour_takes_nothing_of_a_short_one_s_context(lm: LoadedModel) -> None:
    sampling = Sampling(temperature=5.0, max_new_tokens=30)
    answers = [Answer(lm, ids, sampling) for ids in ([400] * 505, [1, 400])]
    list(draw_together(answers))
    assert [(each.finish, len(each.tokens)) for each in answers] == [("context", 8), ("length", 30)]


def test_the_library_gives_texts_in_order(lm: LoadedModel) -> None:
    prompts = [*PROMPTS, [{"role": "user", "content": "Who are you?"}]]
    expected = ["".join(ll.generate(lm, prompt, max_new_tokens=20)) for prompt in prompts]  # type: ignore[arg-type]
    for size in (1, 3, 16):
        assert list(ll.generate_batch(lm, prompts, batch_size=size, max_new_tokens=20)) == expected  # type: ignore[arg-type]
    assert expected[1].startswith(" "), "a text that goes on keeps the space between"
    assert list(generate_batch(lm, [])) == []
    assert list(generate_batch(lm, ["x"], max_new_tokens=0)) == [""]


def test_what_cannot_be_answered_is_said_first(lm: LoadedModel) -> None:
    with pytest.raises(BadInput, match="^prompt 2: the prompt has"):
        next(generate_batch(lm, ["The", "word " * 600]))


def test_as_many_at_a_time_as_memory_holds(lm: LoadedModel) -> None:
    prompts = [[1] * time for time in (10, 10, 10, 400, 10, 10)]
    assert list(batches(lm.model, prompts, 50, 4, room=1 << 40)) == [range(4), range(4, 6)]
    room = rows_bytes(lm.model, 3, 10, 50)
    assert room < rows_bytes(lm.model, 1, 400, 50), "one that is too large is tried alone"
    assert list(batches(lm.model, prompts, 50, 16, room)) == [range(3), range(3, 4), range(4, 6)]
