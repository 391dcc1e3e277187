"""Drawing a token: transformers' scores, bit for bit, and seeds that repeat."""

import itertools

import pytest
import torch
from transformers import GenerationConfig, GPT2Config, GPT2LMHeadModel

from loralab_core.errors import BadInput
from loralab_core.inference.generate import Answer, prompt_ids
from loralab_core.inference.sampling import Sampler, nucleus, warped
from loralab_core.lora import LoadedModel
from loralab_core.wire.messages import Sampling, check_sampling

VOCABULARY = 300
READ = [3, 7, 7, 12]


@pytest.fixture(scope="module")
def reference() -> GPT2LMHeadModel:
    """Only its list of processors is used: their order is part of what is compared."""
    return GPT2LMHeadModel(GPT2Config(vocab_size=VOCABULARY, n_embd=8, n_layer=1, n_head=1))


def scores(seed: int, *, rounded: bool) -> torch.Tensor:
    """Rounded as bf16 models' are, so that many are equal."""
    logits = 4 * torch.randn(VOCABULARY, generator=torch.Generator().manual_seed(seed))
    return logits.bfloat16().float() if rounded else logits


SETTINGS = [
    dict(zip(("temperature", "top_k", "top_p", "min_p", "repetition_penalty"), values, strict=True))
    for values in itertools.product((1.0, 0.7, 2.5), (0, 5, 1000), (1.0, 0.9, 0.3), (0.0, 0.05, 0.6), (1.0, 1.3, 0.8))
]


@pytest.mark.parametrize("rounded", (False, True), ids=("float32", "rounded"))
def test_the_scores_are_the_reference_s(reference: GPT2LMHeadModel, rounded: bool) -> None:
    for seed, how in enumerate(SETTINGS):
        logits = scores(seed, rounded=rounded)
        wanted = GenerationConfig(do_sample=True, **how)
        expected = reference._get_logits_processor(wanted, len(READ))(torch.tensor([READ]), logits[None])[0]
        sampling = Sampling(**how)
        assert torch.equal(warped(Sampler(sampling, READ).penalised(logits), sampling), expected), how


def test_what_was_drawn_counts_as_repeated_too(reference: GPT2LMHeadModel) -> None:
    logits = scores(1, rounded=False)
    sampler = Sampler(Sampling(repetition_penalty=1.5), READ)
    processors = reference._get_logits_processor(GenerationConfig(do_sample=False, repetition_penalty=1.5), len(READ))
    read = list(READ)
    for _ in range(20):
        read.append(int(processors(torch.tensor([read]), logits[None])[0].argmax()))
        assert sampler.draw(logits) == read[-1]


def test_frequencies_follow_the_distribution() -> None:
    logits = torch.tensor([2.0, 1.0, 0.0, -1.0])
    sampler = Sampler(Sampling(temperature=0.8, seed=3))
    counts = torch.bincount(torch.tensor([sampler.draw(logits) for _ in range(4000)]), minlength=4) / 4000
    assert torch.allclose(counts, torch.softmax(logits / 0.8, -1), atol=0.03)


def test_only_what_is_left_is_drawn() -> None:
    logits = torch.log(torch.tensor([0.1, 0.5, 0.15, 0.25]))
    for how in ({"top_k": 2}, {"top_p": 0.7}, {"min_p": 0.4}):
        sampler = Sampler(Sampling(temperature=1.0, **how))  # type: ignore[arg-type]
        assert {sampler.draw(logits) for _ in range(200)} == {1, 3}, how
    assert torch.isfinite(nucleus(logits, 0.01)).tolist() == [False, True, False, False]


def test_a_temperature_too_small_to_divide_by_is_greedy() -> None:
    assert Sampler(Sampling(temperature=1e-42)).draw(torch.tensor([1.0, 3.0, 2.0])) == 1


def test_draws_repeat_by_seed_whatever_else_is_drawn(lm: LoadedModel) -> None:
    texts = []
    for seed in (1, 1, 2):
        torch.rand(7)
        answer = Answer(lm, prompt_ids(lm, prompt="Once"), Sampling(temperature=1.0, seed=seed, max_new_tokens=30))
        texts.append("".join(answer.pieces()))
    assert texts[0] == texts[1] != texts[2]


@pytest.mark.parametrize(
    ("how", "words"),
    [
        ({"temperature": -1.0}, "temperature cannot be -1.0: give 0"),
        ({"temperature": float("nan")}, "temperature cannot be nan"),
        ({"top_k": -1}, "top-k"),
        ({"top_p": 1.5}, "top-p cannot be 1.5: give a share"),
        ({"min_p": 2.0}, "min-p"),
        ({"repetition_penalty": 0.0}, "repetition-penalty cannot be 0.0: give a number above 0"),
        ({"seed": 2**63}, "seed"),
        ({"seed": -1}, "seed"),
        ({"max_new_tokens": -1}, "max-new-tokens"),
    ],
)
def test_what_cannot_be_drawn_by_is_said(how: dict[str, float], words: str, lm: LoadedModel) -> None:
    with pytest.raises(BadInput, match=words):
        check_sampling(Sampling(**how))  # type: ignore[arg-type]
    with pytest.raises(BadInput, match=words):
        Answer(lm, [1], Sampling(**how))  # type: ignore[arg-type]
