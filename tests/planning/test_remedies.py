"""Which settings are offered after memory ran out: those that the forecast says fit, and none that it does not."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from loralab_core.architecture.config import DecoderConfig
from loralab_core.architecture.families import parse_config
from loralab_core.planning.footprint import figures_of
from loralab_core.planning.remedies import SURE, bases_that_fit, shortage
from loralab_core.planning.training_step import StepSettings, resident_bytes, step_bytes
from loralab_core.training.shortage import as_options

GB = 10**9
ASKED = StepSettings("bf16", micro_batch=8, seq_len=2048)


@pytest.fixture(scope="module")
def config(fixtures_dir: Path) -> DecoderConfig:
    return parse_config(json.loads((fixtures_dir / "configs" / "Llama-3.1-8B-Instruct.json").read_text()), "8B")


def test_at_most_three_each_enough_by_itself_the_mildest_first(config: DecoderConfig) -> None:
    free = 40 * GB
    found = shortage(config, ASKED, free)
    assert found.needed > free and len(found.remedies) == 3
    assert [next(iter(remedy)) for remedy in found.remedies] == ["micro_batch", "checkpoint_activations", "seq_len"]
    for remedy in found.remedies:
        other = replace(ASKED, **remedy)
        more = resident_bytes(config, other) - resident_bytes(config, ASKED)
        assert step_bytes(config, other) + more <= SURE * free
    micro = found.remedies[0]["micro_batch"]
    twice = replace(ASKED, micro_batch=2 * micro)
    assert step_bytes(config, twice) > SURE * free, "no smaller than it must be"


def test_a_leaner_base_is_offered_where_the_weights_are_the_burden(config: DecoderConfig) -> None:
    lean = StepSettings("bf16", 1, 64, checkpoint_activations=True)
    found = shortage(config, lean, step_bytes(config, lean) // 2)
    assert found.remedies == ({"base": "int8"},)


def test_of_bases_that_fit_the_wide_one_is_of_the_chip(config: DecoderConfig) -> None:
    assert bases_that_fit(figures_of(config), "fp32", 30 * GB, "fp16") == ("fp16", "int8", "nf4")
    assert bases_that_fit(figures_of(config), "fp32", 30 * GB, "bf16") == ("bf16", "int8", "nf4")
    assert bases_that_fit(figures_of(config), "fp16", 10 * GB, "fp16") == ("nf4",)


def test_a_failure_teaches_more_than_the_forecast(config: DecoderConfig) -> None:
    """It says that the step fits; it did not."""
    free = 2 * step_bytes(config, ASKED)
    found = shortage(config, ASKED, free)
    assert found.needed == free
    assert found.remedies[0] == {"micro_batch": 4}


def test_where_one_is_not_enough_several_together_are_named(config: DecoderConfig) -> None:
    together = shortage(config, StepSettings("nf4", 8, 4096, half=True), 2 * GB).remedies
    assert len(together) == 1 and len(together[0]) > 1
    assert as_options(together[0]).startswith("--micro-batch 1 --set checkpoint_activations=true --seq-len ")


def test_where_nothing_would_do_nothing_is_offered(config: DecoderConfig) -> None:
    assert shortage(config, StepSettings("nf4", 8, 2048), 10**6).remedies == ()
