"""Finding projections, fresh adapters, and switching between several."""

from pathlib import Path

import pytest
import torch

from loralab_core.errors import BadInput
from loralab_core.lora import LoadedModel, create_adapter, find_targets, load
from tests.models.checkpoints import llama, save


@pytest.fixture
def lm(tmp_path: Path) -> LoadedModel:
    return load(save(llama(), tmp_path), "fp32", "cpu")


IDS = torch.arange(30)[None]


def test_targets_are_found_by_looking_at_the_model(lm: LoadedModel) -> None:
    assert len(find_targets(lm.model, "all")) == 2 * 7
    assert len(find_targets(lm.model, "attention")) == 2 * 4
    assert len(find_targets(lm.model, "mlp")) == 2 * 3
    assert set(find_targets(lm.model, "q_proj, layers.1.mlp.down_proj")) == {
        "model.layers.0.self_attn.q_proj",
        "model.layers.1.self_attn.q_proj",
        "model.layers.1.mlp.down_proj",
    }


def test_a_name_that_matches_nothing_is_answered_with_what_there_is(lm: LoadedModel) -> None:
    with pytest.raises(BadInput, match="c_attn.*down_proj, gate_proj, k_proj, o_proj, q_proj, up_proj, v_proj"):
        find_targets(lm.model, "q_proj,c_attn")


def test_a_fresh_adapter_changes_nothing_and_repeats_by_seed(lm: LoadedModel) -> None:
    before = lm.model(IDS)
    adapters = [create_adapter(lm.model, rank=4, alpha=8, seed=seed) for seed in (3, 3, 4)]
    lm.add(adapters[0])
    lm.use("default")
    assert torch.equal(lm.model(IDS), before)
    first = [next(iter(adapter.layers.values())).a for adapter in adapters]
    assert torch.equal(first[0], first[1]) and not torch.equal(first[0], first[2])


def test_adapters_are_switched_by_name_or_off(lm: LoadedModel) -> None:
    base = lm.model(IDS)
    for number, name in enumerate(("one", "two")):
        adapter = create_adapter(lm.model, rank=4, alpha=8, seed=number)
        for lora in adapter.layers.values():
            lora.b.normal_(generator=torch.Generator().manual_seed(number))
        lm.add(adapter, name)
    outputs = {}
    for name in ("one", "two", None, "one"):
        lm.use(name)
        outputs.setdefault(name, []).append(lm.model(IDS))
    assert torch.equal(outputs[None][0], base)
    assert torch.equal(outputs["one"][0], outputs["one"][1])
    assert not torch.equal(outputs["one"][0], outputs["two"][0])
    with pytest.raises(BadInput, match="one, two"):
        lm.use("three")


def test_a_moment_with_another_adapter_ends_even_after_an_error(lm: LoadedModel) -> None:
    adapter = create_adapter(lm.model, rank=4, alpha=8)
    with pytest.raises(ZeroDivisionError), lm.using(adapter):
        raise ZeroDivisionError
    assert all(projection.lora is None for projection in find_targets(lm.model, "all").values())


def test_a_snapshot_does_not_follow_the_training(lm: LoadedModel) -> None:
    adapter = create_adapter(lm.model, rank=4, alpha=8)
    kept = adapter.snapshot()
    for lora in adapter.layers.values():
        lora.b.add_(1.0)
    assert all(float(lora.b.abs().max()) == 0.0 for lora in kept.layers.values())
