"""Every family computes what transformers computes, forward and with a LoRA on every projection backward."""

from pathlib import Path

import pytest
from transformers import PreTrainedModel

from loralab_core.architecture.counts import parameter_count
from loralab_core.architecture.families import families, read_config
from loralab_core.models import load_decoder
from tests.models import parity
from tests.models.families import FAMILIES, saved

CASES = [(family, number) for family, makers in FAMILIES.items() for number in range(len(makers))]
Tiny = tuple[Path, PreTrainedModel]


@pytest.fixture(params=CASES, ids=lambda case: f"{case[0]}-{case[1]}")
def tiny(request: pytest.FixtureRequest, tmp_path: Path) -> Tiny:
    return saved(*request.param, tmp_path)


def test_float32_logits(tiny: Tiny) -> None:
    assert parity.float32_logits(*tiny) < parity.ALIKE


def test_float32_logits_with_the_cache(tiny: Tiny) -> None:
    assert parity.float32_logits_with_the_cache(*tiny) < parity.ALIKE


def test_greedy_text_with_the_cache(tiny: Tiny) -> None:
    assert parity.greedy_is_equal(*tiny)


def test_bf16_is_within_the_reference_s_own_error(tiny: Tiny) -> None:
    assert parity.bf16_ratio(*tiny) < parity.bf16_limit(read_config(tiny[0]).experts is not None)


def test_fp16_is_within_the_reference_s_own_error(tiny: Tiny) -> None:
    """Too exact for experts: whether one token changes them decides, and that is chance."""
    if read_config(tiny[0]).experts is None:
        assert parity.half_ratio(*tiny, "fp16") < 1.05


def test_gradients_of_a_lora_on_every_projection(tiny: Tiny) -> None:
    assert parity.lora_gradients(*tiny) < parity.ALIKE


def test_every_weight_of_the_checkpoint_has_its_place(tiny: Tiny) -> None:
    ours, (_, theirs) = load_decoder(tiny[0], "fp32", parity.CPU), tiny
    count = sum(parameter.numel() for parameter in theirs.parameters())
    assert parameter_count(ours.config) == count == sum(parameter.numel() for parameter in ours.parameters())


def test_every_family_is_here() -> None:
    assert {module.__name__.rpartition(".")[2] for module in families().values()} == set(FAMILIES)


@pytest.mark.parametrize("family", FAMILIES)
def test_the_shapes_vary_in_what_the_family_can_vary(family: str) -> None:
    """At least three: another ratio of grouped queries, the head tied and not, biases where the config has them."""
    configs = [make().config for make in FAMILIES[family]]
    fields = type(configs[0]).__dataclass_fields__
    assert len(configs) >= 3 and {config.tie_word_embeddings for config in configs} == {True, False}
    if "num_key_value_heads" in fields:
        assert len({config.num_attention_heads // config.num_key_value_heads for config in configs}) >= 2
    for switch in ("attention_bias", "mlp_bias", "enable_bias"):
        if switch in fields:
            assert {getattr(config, switch) for config in configs} == {True, False}, switch
