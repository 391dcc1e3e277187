"""Published configurations: their size is the published one, and what the decoder lacks is refused by name."""

import json
from pathlib import Path

import pytest
import torch
from transformers import Qwen3Config
from transformers.modeling_rope_utils import ROPE_INIT_FUNCTIONS

from loralab_core.architecture.counts import parameter_count
from loralab_core.architecture.families import parse_config
from loralab_core.errors import BadInput
from loralab_core.models.rope import inverse_frequencies
from tests.models.published import MILLIONS


def read(fixtures: Path, name: str) -> dict[str, object]:
    found: dict[str, object] = json.loads((fixtures / "configs" / f"{name}.json").read_text())
    return found


@pytest.mark.parametrize("name", MILLIONS)
def test_the_size_is_the_published_one(name: str, fixtures_dir: Path) -> None:
    config = parse_config(read(fixtures_dir, name), "config.json")
    assert parameter_count(config) / 1e6 == pytest.approx(MILLIONS[name], abs=0.1)


def test_the_decoder_inside_deepseek_ocr(fixtures_dir: Path) -> None:
    config = parse_config(read(fixtures_dir, "DeepSeek-OCR"), "config.json")
    assert config.experts is not None and config.experts.layers == (False, *[True] * 11)
    assert (config.experts.count, config.experts.active, config.experts.shared_size) == (64, 6, 2 * 896)


@pytest.mark.parametrize(
    ("name", "changes", "words"),
    [
        ("SmolVLM-256M-Instruct", {}, "idefics3"),
        ("DeepSeek-OCR", {"language_config": {"use_mla": True}}, "latent attention"),
        ("DeepSeek-OCR", {"language_config": {"topk_method": "noaux_tc"}}, "topk_method"),
        ("phi-2", {"qk_layernorm": True}, "qk_layernorm"),
        ("Qwen3-0.6B", {"rope_scaling": {"rope_type": "dynamic", "factor": 4.0}}, "dynamic"),
        ("Qwen3-0.6B", {"rope_scaling": {"rope_type": "yarn", "factor": -1}}, "factor"),
        ("Qwen3-0.6B", {"rope_scaling": {"rope_type": "yarn", "factor": 4.0, "truncate": 1}}, "truncate"),
        ("gemma-3-1b-it", {"attn_logit_softcapping": 50.0}, "attn_logit_softcapping"),
    ],
)
def test_what_the_decoder_lacks_is_refused_by_name(
    name: str, changes: dict[str, object], words: str, fixtures_dir: Path
) -> None:
    with pytest.raises(BadInput, match=words):
        parse_config(read(fixtures_dir, name) | changes, "config.json")


YARN: list[dict[str, object]] = [
    {"factor": 4.0, "original_max_position_embeddings": 32768},  # as the model's card says
    {"factor": 4.0},
    {"factor": 40, "mscale": 1.0, "mscale_all_dim": 0.8, "original_max_position_embeddings": 4096},
    {"factor": 2.0, "mscale": 0.7, "original_max_position_embeddings": 4096},
    {"factor": 16.0, "attention_factor": 1.1, "beta_fast": 16, "beta_slow": 2, "original_max_position_embeddings": 512},
    {"factor": 8.0, "truncate": False, "original_max_position_embeddings": 1024},
    {"factor": 0.5, "original_max_position_embeddings": 4096},
]


@pytest.mark.parametrize("spelt", ("rope_type", "type"))
@pytest.mark.parametrize("yarn", YARN, ids=range(len(YARN)))
def test_yarn_turns_as_in_the_reference(yarn: dict[str, object], spelt: str, fixtures_dir: Path) -> None:
    raw = read(fixtures_dir, "Qwen3-0.6B") | {"rope_scaling": {spelt: "yarn", **yarn}}
    (rope,) = parse_config(raw, "config.json").ropes
    settings = {key: value for key, value in raw.items() if key not in ("rope_scaling", "rope_theta")}
    theirs = Qwen3Config(**settings, rope_parameters={"rope_type": "yarn", "rope_theta": raw["rope_theta"], **yarn})
    expected, magnitude = ROPE_INIT_FUNCTIONS["yarn"](theirs)
    assert torch.allclose(inverse_frequencies(rope), expected, rtol=1e-6, atol=0)
    assert rope.scaling is not None and rope.scaling.magnitude == pytest.approx(magnitude, rel=1e-12)
