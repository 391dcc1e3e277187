"""Answers: the reference's greedy text, draws that repeat, and endings that are told apart."""

from pathlib import Path

import pytest
import torch
from transformers import AutoModelForCausalLM

import loralab_core as ll
from loralab_core.errors import BadInput
from loralab_core.inference.generate import Answer, prompt_ids
from loralab_core.lora import LoadedModel
from loralab_core.wire.messages import Sampling

PROMPT = "Once upon a time"


def answer(lm: LoadedModel, prompt: str = PROMPT, **how: object) -> Answer:
    made = Answer(lm, prompt_ids(lm, prompt=prompt), Sampling(**how))  # type: ignore[arg-type]
    made.pieces_seen = list(made.pieces())  # type: ignore[attr-defined]
    return made


def test_greedy_text_is_the_reference_s(lm: LoadedModel, fixtures_dir: Path) -> None:
    model = AutoModelForCausalLM.from_pretrained(fixtures_dir / "models" / "stories3M", dtype=torch.float32)
    ids = torch.tensor([prompt_ids(lm, prompt=PROMPT)])
    expected = model.generate(ids, attention_mask=torch.ones_like(ids), max_new_tokens=200, do_sample=False)[0]
    made = answer(lm, max_new_tokens=200)
    assert made.tokens == [token for token in expected[ids.shape[1] :].tolist() if token not in lm.text().eos_ids]


def test_the_pieces_are_the_text(lm: LoadedModel) -> None:
    made = answer(lm, max_new_tokens=60)
    assert "".join(made.pieces_seen) == made.text  # type: ignore[attr-defined]
    assert made.text.split()[:3] and made.finish == "length" and len(made.tokens) == 60


def test_the_library_s_generate_gives_the_same(lm: LoadedModel) -> None:
    assert "".join(ll.generate(lm, PROMPT, max_new_tokens=40)) == answer(lm, max_new_tokens=40).text


def test_a_text_that_is_continued_keeps_the_space_between(lm: LoadedModel) -> None:
    said = "".join(ll.generate(lm, "Once", max_new_tokens=3))
    assert said == " upon a time"
    chat = "".join(ll.generate(lm, [{"role": "user", "content": "Once"}], max_new_tokens=3))
    assert chat == chat.lstrip(" ")


def test_a_user_does_not_end_a_turn_by_typing_how_it_ends(lm: LoadedModel) -> None:
    end = lm.text().eos_id
    said = [{"role": "user", "content": "Say </s>"}, {"role": "assistant", "content": "</s>"}]
    ids = prompt_ids(lm, messages=[*said, {"role": "user", "content": "<s>again</s>"}])
    assert ids.count(end) == 1 and ids.count(lm.text().bos_id) == 1  # type: ignore[arg-type]
    assert prompt_ids(lm, prompt="Say </s>").count(end) == 1  # type: ignore[arg-type]


def test_the_rate_counts_the_tokens_that_were_timed(lm: LoadedModel) -> None:
    made = answer(lm, max_new_tokens=10)
    assert made.timed == 9 and made.tokens_per_s == pytest.approx(9 / made.seconds)
    assert answer(lm, max_new_tokens=0).text == ""


def test_a_share_of_nothing_leaves_the_most_likely_token(lm: LoadedModel) -> None:
    assert answer(lm, temperature=1.0, top_p=0.0, max_new_tokens=10).text == answer(lm, max_new_tokens=10).text


def test_endings(lm: LoadedModel) -> None:
    assert answer(lm, "The end.\n", max_new_tokens=400).finish in ("eos", "context")
    almost_full = answer(lm, "word " * 250 + "Once", max_new_tokens=10_000)
    assert almost_full.finish in ("eos", "context")
    assert len(almost_full.ids) + len(almost_full.tokens) <= lm.model.config.context + 1


def test_an_answer_goes_to_the_context_s_last_place_and_says_so(lm: LoadedModel) -> None:
    context = lm.model.config.context
    for room in (1, 2, 5):
        made = Answer(lm, [400] * (context - room), Sampling(temperature=5.0, seed=1, max_new_tokens=1000))
        assert "".join(made.pieces()) == made.text
        assert (made.finish, len(made.tokens)) == ("context", room + 1), "the last one drawn is not read any more"


def test_what_cannot_be_read_is_said(lm: LoadedModel) -> None:
    with pytest.raises(BadInput, match="this model reads 512, so there is no room"):
        prompt_ids(lm, prompt="word " * 600)
    with pytest.raises(BadInput, match="either"):
        prompt_ids(lm)
