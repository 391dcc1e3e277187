"""The decoder computes what transformers computes."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM, PreTrainedModel

from loralab_core.inference.kv_cache import KVCache
from loralab_core.models import load_decoder
from tests.models.checkpoints import LLAMA3_ROPE, llama, logit_error, mistral, save
from tests.models.parity import chosen

CPU = torch.device("cpu")
REAL = ("stories3M", "stories260K", "tiny_llama3", "tiny_mistral")

VARIANTS: dict[str, Callable[[], PreTrainedModel]] = {
    "grouped queries": llama,
    "one key head": lambda: llama(num_key_value_heads=1),
    "as many key heads": lambda: llama(num_key_value_heads=6),
    "tied head": lambda: llama(tie_word_embeddings=True),
    "biases": lambda: llama(attention_bias=True, mlp_bias=True),
    "head wider than its share": lambda: llama(head_dim=16),
    "llama 3 rope": lambda: llama(rope_parameters=LLAMA3_ROPE),
    "linear rope": lambda: llama(rope_parameters={"rope_type": "linear", "factor": 4.0, "rope_theta": 10000.0}),
    "sliding window": lambda: mistral(sliding_window=9),
    "window longer than the text": lambda: mistral(sliding_window=200),
}


@pytest.fixture(params=VARIANTS)
def tiny(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[Path, PreTrainedModel]:
    model = VARIANTS[request.param]()
    return save(model, tmp_path), model


def ids_for(vocabulary: int, rows: int = 2, time: int = 61) -> torch.Tensor:
    return torch.randint(0, vocabulary, (rows, time), generator=torch.Generator().manual_seed(1))


def test_float32_logits_of_random_checkpoints(tiny: tuple[Path, PreTrainedModel]) -> None:
    directory, theirs = tiny
    ours = load_decoder(directory, "fp32", CPU)
    ids = ids_for(ours.config.vocab_size)
    with torch.no_grad():
        assert logit_error(ours(ids), theirs(ids).logits) < 1e-5


@pytest.mark.parametrize("name", REAL)
def test_float32_logits_of_real_checkpoints(name: str, fixtures_dir: Path) -> None:
    directory = fixtures_dir / "models" / name
    ours = load_decoder(directory, "fp32", CPU)
    theirs = AutoModelForCausalLM.from_pretrained(directory, dtype=torch.float32)
    ids = ids_for(ours.config.vocab_size, 3, 200)
    with torch.no_grad():
        assert logit_error(ours(ids), theirs(ids).logits) < 1e-4


@pytest.mark.parametrize("name", ("stories3M", "tiny_llama3"))
def test_bf16_is_within_the_reference_s_own_bf16_error(name: str, fixtures_dir: Path) -> None:
    directory = fixtures_dir / "models" / name
    exact = load_decoder(directory, "fp32", CPU)
    ids = ids_for(exact.config.vocab_size, 2, 128)
    theirs = AutoModelForCausalLM.from_pretrained(directory, dtype=torch.bfloat16)
    with torch.no_grad():
        reference = exact(ids)
        allowed = logit_error(theirs(ids).logits.float(), reference)
        assert logit_error(load_decoder(directory, "bf16", CPU)(ids), reference) < 1.2 * allowed


def test_gradients_with_respect_to_every_weight(tiny: tuple[Path, PreTrainedModel]) -> None:
    """Full tuning rests on these; the operators' own backward passes are all in the path."""
    directory, theirs = tiny
    ours = load_decoder(directory, "fp32", CPU)
    ids = ids_for(ours.config.vocab_size)
    for model in (ours, theirs):
        model.requires_grad_(True)
        logits: Any = model(ids)
        logits = logits if isinstance(logits, torch.Tensor) else logits.logits
        torch.nn.functional.cross_entropy(logits[:, :-1].flatten(0, 1), ids[:, 1:].flatten()).backward()
    from loralab_core.models.naming import checkpoint_name

    reference = dict(theirs.named_parameters())
    for path, parameter in ours.named_parameters():
        module, _, leaf = path.rpartition(".")
        expected = reference[f"{checkpoint_name(ours.config, module)}.{leaf}"].grad
        assert parameter.grad is not None and expected is not None
        assert logit_error(parameter.grad, expected) < 1e-4, path


@torch.no_grad()
def greedy(model: Any, prompt: torch.Tensor, count: int, cached: bool) -> list[int]:
    cache = KVCache(model.config, model.dtype, model.device) if cached else None
    said: list[int] = []
    ids = feed = prompt
    while len(said) < count:
        said.append(int(model.logits(model.hidden(feed, cache=cache)[:, -1:])[0, 0].argmax()))
        ids = torch.cat([ids, torch.tensor([said[-1:]])], 1)
        feed = ids[:, -1:] if cached else ids
    return said


@pytest.mark.parametrize("name", REAL)
def test_greedy_text_with_and_without_cache_is_the_reference_s(name: str, fixtures_dir: Path) -> None:
    directory = fixtures_dir / "models" / name
    ours = load_decoder(directory, "fp32", CPU)
    theirs = AutoModelForCausalLM.from_pretrained(directory, dtype=torch.float32)
    prompt = ids_for(ours.config.vocab_size, 1, 11)
    count = 200
    said = greedy(ours, prompt, count, cached=True)
    assert said == chosen(theirs, prompt, said)
    assert greedy(ours, prompt, count, cached=False) == said


def test_a_prompt_read_in_parts_gives_the_same_states(tiny: tuple[Path, PreTrainedModel]) -> None:
    ours = load_decoder(tiny[0], "fp32", CPU)
    ids = ids_for(ours.config.vocab_size, 1, 40)
    cache = KVCache(ours.config, ours.dtype, ours.device)
    with torch.no_grad():
        parts = torch.cat([ours.hidden(part, cache=cache) for part in ids.split([7, 1, 20, 12], 1)], 1)
        assert logit_error(parts, ours.hidden(ids)) < 1e-5


def test_embeddings_are_taken_in_place_of_ids(tmp_path: Path) -> None:
    ours = load_decoder(save(llama(), tmp_path), "fp32", CPU)
    ids = ids_for(ours.config.vocab_size)
    with torch.no_grad():
        assert torch.equal(ours.hidden(embeddings=ours.embedding(ids)), ours.hidden(ids))
