"""Published configurations: their size is the published one, and what the decoder lacks is refused by name."""

import json
from pathlib import Path

import pytest

from loralab_core.architecture.counts import parameter_count
from loralab_core.architecture.families import parse_config
from loralab_core.errors import BadInput
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
        ("Qwen3-0.6B", {"rope_scaling": {"rope_type": "yarn", "factor": 4.0}}, "yarn"),
        ("gemma-3-1b-it", {"attn_logit_softcapping": 50.0}, "attn_logit_softcapping"),
    ],
)
def test_what_the_decoder_lacks_is_refused_by_name(
    name: str, changes: dict[str, object], words: str, fixtures_dir: Path
) -> None:
    with pytest.raises(BadInput, match=words):
        parse_config(read(fixtures_dir, name) | changes, "config.json")
