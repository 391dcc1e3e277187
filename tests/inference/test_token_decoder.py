"""A token in one call of the kernels: the same as layer by layer, in every family plain enough for it."""

from pathlib import Path

import pytest
import torch

import loralab_core as ll
from loralab_core.inference.kv_cache import KVCache
from loralab_core.inference.token_decoder import TokenDecoder, can_decode
from loralab_core.lora.adapter import Adapter, create_adapter, use_adapter
from loralab_core.lora.loaded import LoadedModel
from loralab_core.ops.decode import kernels_decode
from tests.models.families import FAMILIES, saved

PLAIN = [("llama", 0), ("llama", 1), ("llama", 2), ("mistral", 2), ("qwen2", 0), ("qwen3", 0), ("gemma", 0)]

pytestmark = pytest.mark.skipif(not kernels_decode(), reason="this computer's kernels do not decode at once")


def logits(lm: LoadedModel, adapter: Adapter | None, ids: list[int], *, at_once: bool) -> torch.Tensor:
    """Behind every token from the fifth on, [tokens, vocab]."""
    model, found = lm.model, []
    cache = KVCache(model.config, model.dtype, model.device)
    decoder = TokenDecoder(model, adapter)
    use_adapter(model, adapter)
    with torch.no_grad():
        model.hidden(torch.tensor([ids[:4]]), cache=cache)
        for token in ids[4:]:
            if at_once:
                found.append(decoder.logits(token, cache))
            else:
                found.append(model.logits(model.hidden(torch.tensor([[token]]), cache=cache))[:, -1])
    use_adapter(model, None)
    return torch.cat(found)


def adapted(lm: LoadedModel) -> Adapter:
    adapter = create_adapter(lm.model, rank=3, alpha=6)
    for number, lora in enumerate(adapter.layers.values()):
        lora.b.normal_(std=0.2, generator=torch.Generator().manual_seed(number))
    return adapter


def apart(ours: torch.Tensor, theirs: torch.Tensor) -> float:
    return float((ours - theirs).norm() / theirs.norm())


@pytest.mark.parametrize("base", ["nf4", "int4", "int8"])
@pytest.mark.parametrize("family, number", PLAIN)
def test_it_is_the_decoder_layer_by_layer(family: str, number: int, base: str, tmp_path: Path) -> None:
    directory, _ = saved(family, number, tmp_path)
    lm = ll.load(str(directory), base=base)
    ids = torch.randint(0, 90, (40,), generator=torch.Generator().manual_seed(3)).tolist()
    for adapter in (None, adapted(lm)):
        assert can_decode(lm.model, adapter)
        found = [logits(lm, adapter, ids, at_once=once) for once in (True, False)]
        assert apart(*found) < 1e-5


def test_in_bf16_it_is_as_near_to_float32_as_the_layers_are(tmp_path: Path) -> None:
    directory, _ = saved("llama", 0, tmp_path)
    ids = torch.randint(0, 90, (40,), generator=torch.Generator().manual_seed(3)).tolist()
    exact = ll.load(str(directory), base="nf4")
    coarse = ll.load(str(directory), base="nf4")
    coarse.model.to(torch.bfloat16)
    reference = logits(exact, None, ids, at_once=True)
    ours, layers = (apart(logits(coarse, None, ids, at_once=once), reference) for once in (True, False))
    assert ours < layers


def test_the_cache_may_move_to_larger_buffers(tmp_path: Path) -> None:
    directory, _ = saved("llama", 1, tmp_path)
    lm = ll.load(str(directory), base="nf4")
    ids = torch.randint(0, 90, (300,), generator=torch.Generator().manual_seed(3)).tolist()
    found = [logits(lm, None, ids, at_once=once) for once in (True, False)]
    assert apart(*found) < 1e-5


def test_what_is_not_plain_goes_layer_by_layer(tmp_path: Path) -> None:
    for number, family in enumerate(("gpt2", "phi3", "gemma2", "olmoe")):
        if family in FAMILIES:
            directory, _ = saved(family, 0, tmp_path / str(number))
            assert not can_decode(ll.load(str(directory), base="nf4").model)
    directory, _ = saved("llama", 0, tmp_path / "dense")
    assert not can_decode(ll.load(str(directory), base="fp32").model)


def test_a_window_that_bites_is_left_to_the_layers(tmp_path: Path) -> None:
    directory, _ = saved("mistral", 0, tmp_path)
    model = ll.load(str(directory), base="nf4").model
    windows = [window for window in model.config.distinct_windows if window]
    assert all(not TokenDecoder(model).fits(window) and TokenDecoder(model).fits(window - 1) for window in windows)


def test_what_does_not_fit_is_refused_with_what_is_wanted(tmp_path: Path) -> None:
    directory, _ = saved("llama", 0, tmp_path)
    lm = ll.load(str(directory), base="nf4")
    cache = KVCache(lm.model.config, lm.model.dtype, lm.model.device)
    decoder = TokenDecoder(lm.model)
    decoder.logits(3, cache)
    assert decoder._prepared is not None
    with pytest.raises(RuntimeError, match=r"x must be contiguous float32 \[48\]"):
        decoder._prepared.logits(torch.zeros(7), torch.zeros(4), torch.zeros(4), 1)
    with pytest.raises(RuntimeError, match="no place among"):
        decoder._prepared.logits(torch.zeros(48), torch.zeros(4), torch.zeros(4), cache.capacity)
    with pytest.raises(RuntimeError, match="more than 1 tensors"):
        torch.ops.loralab.decode_prepare([torch.ones(8)], [1, 8, 1, 1, 8, 8, 0, 8], [1.0] * 2)
