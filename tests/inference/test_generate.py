"""Answers: the reference's greedy text, draws that repeat, and endings that are told apart."""

from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from transformers import AutoModelForCausalLM
from transformers.generation.logits_process import MinPLogitsWarper, RepetitionPenaltyLogitsProcessor

import loralab_core as ll
from loralab_core.errors import BadInput
from loralab_core.inference.batch import answer_together
from loralab_core.inference.generate import Answer, prompt_ids
from loralab_core.inference.sampling import Sampler, nucleus
from loralab_core.inference.stopping import StopStrings
from loralab_core.lora import LoadedModel
from loralab_core.wire.messages import Sampling

PROMPT = "Once upon a time"


@pytest.fixture(scope="module")
def lm(fixtures_dir: Path) -> LoadedModel:
    return ll.load(fixtures_dir / "models" / "stories3M", "fp32", "cpu")


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


def test_draws_repeat_by_seed_whatever_else_is_drawn(lm: LoadedModel) -> None:
    texts = []
    for seed in (1, 1, 2):
        torch.rand(7)
        texts.append(answer(lm, temperature=1.0, seed=seed, max_new_tokens=30).text)
    assert texts[0] == texts[1] != texts[2]


def test_endings(lm: LoadedModel) -> None:
    assert answer(lm, "The end.\n", max_new_tokens=400).finish in ("eos", "context")
    almost_full = answer(lm, "word " * 250 + "Once", max_new_tokens=10_000)
    assert almost_full.finish in ("eos", "context")
    assert len(almost_full.ids) + len(almost_full.tokens) <= lm.model.config.context + 1


def test_what_cannot_be_read_is_said(lm: LoadedModel) -> None:
    with pytest.raises(BadInput, match="512"):
        prompt_ids(lm, prompt="word " * 600)
    with pytest.raises(BadInput, match="either"):
        prompt_ids(lm)


def test_frequencies_follow_the_distribution() -> None:
    logits = torch.tensor([2.0, 1.0, 0.0, -1.0])
    sampler = Sampler(Sampling(temperature=0.8, seed=3))
    counts = torch.bincount(torch.tensor([sampler.draw(logits) for _ in range(4000)]), minlength=4) / 4000
    assert torch.allclose(counts, torch.softmax(logits / 0.8, -1), atol=0.03)


def test_top_k_and_top_p_leave_the_most_likely() -> None:
    logits = torch.log(torch.tensor([0.1, 0.5, 0.15, 0.25]))
    top_k = Sampler(Sampling(temperature=1.0, top_k=2))
    assert {top_k.draw(logits) for _ in range(200)} == {1, 3}
    assert torch.isfinite(nucleus(logits, 0.7)).tolist() == [False, True, False, True]
    assert torch.isfinite(nucleus(logits, 0.01)).tolist() == [False, True, False, False]


@pytest.mark.parametrize("penalty", (1.3, 0.8))
def test_repetition_is_discouraged_as_in_the_reference(penalty: float) -> None:
    logits = torch.randn(50, generator=torch.Generator().manual_seed(1))
    read = [3, 7, 7, 12]
    expected = RepetitionPenaltyLogitsProcessor(penalty)(torch.tensor([read]), logits[None])[0]
    sampler = Sampler(Sampling(repetition_penalty=penalty), read)
    assert torch.equal(sampler._penalised(logits), expected)
    drawn = sampler.draw(logits)
    assert drawn == int(expected.argmax())
    again = RepetitionPenaltyLogitsProcessor(penalty)(torch.tensor([[*read, drawn]]), logits[None])[0]
    assert torch.equal(sampler._penalised(logits), again), "what was drawn counts too"


def test_min_p_leaves_what_the_reference_leaves() -> None:
    logits = torch.randn(50, generator=torch.Generator().manual_seed(2))
    left = torch.isfinite(MinPLogitsWarper(0.3)(torch.tensor([[0]]), logits[None])[0]).nonzero().flatten().tolist()
    sampler = Sampler(Sampling(temperature=1.0, min_p=0.3))
    assert {sampler.draw(logits) for _ in range(3000)} == set(left) and 1 < len(left) < 20


def test_a_stop_ends_the_answer_wherever_tokens_end(lm: LoadedModel) -> None:
    whole = answer(lm, max_new_tokens=60).text
    stop = whole[50:58]
    made = answer(lm, max_new_tokens=60, stop=(stop, "never said"))
    assert made.finish == "stop" and made.text == whole[: whole.index(stop)]
    assert "".join(made.pieces_seen) == made.text and len(made.tokens) < 60  # type: ignore[attr-defined]


@given(st.text("abc", max_size=30), st.lists(st.text("abc", min_size=1, max_size=4), max_size=3), st.data())
def test_stops_cut_the_text_however_it_comes_in_pieces(text: str, stops: list[str], data: st.DataObject) -> None:
    found = StopStrings(stops)
    shown, rest = "", text
    while rest:
        size = data.draw(st.integers(1, len(rest)))
        shown += found.push(rest[:size])
        assert text.startswith(shown)
        rest = rest[size:]
    shown += found.flush()
    ends = [at + len(stop) for stop in stops if (at := text.find(stop)) >= 0]
    assert found.found == bool(ends)
    if not ends:
        assert shown == text
    else:  # the stop that is complete first decides; of several complete together, the one that began first
        last = next(end for end in range(len(text) + 1) if any(stop in text[:end] for stop in stops))
        assert len(shown) <= last and not any(stop in shown for stop in stops)


def test_prompts_answered_together_say_what_each_says_alone(lm: LoadedModel) -> None:
    prompts = ["Once upon a time, there was a little", "The", "Tom and Sam went to the park. They saw a big dog"]
    ids = [prompt_ids(lm, prompt=prompt) for prompt in prompts]
    for how in ({}, {"temperature": 1.0, "seed": 5, "top_p": 0.9}, {"repetition_penalty": 1.2, "stop": (".",)}):
        sampling = Sampling(max_new_tokens=40, **how)  # type: ignore[arg-type]
        alone = []
        for each in ids:
            made = Answer(lm, each, sampling)
            alone.append("".join(made.pieces()))
        assert answer_together(lm, ids, sampling) == alone
    assert answer_together(lm, [], Sampling()) == []
