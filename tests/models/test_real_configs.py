"""Published configurations: their size is the published one, and what the decoder lacks is refused by name."""

import json
from pathlib import Path

import pytest

from loralab_core.architecture.counts import parameter_count
from loralab_core.architecture.families import parse_config
from loralab_core.errors import BadInput

MILLIONS = {
    "Llama-3.1-8B-Instruct": 8030.3,
    "Llama-3.2-1B-Instruct": 1235.8,
    "Llama-3.2-3B": 3212.7,
    "Mistral-7B-Instruct-v0.3": 7248.0,
    "Phi-3-mini-4k-instruct": 3821.1,
    "Qwen2.5-0.5B-Instruct": 494.0,
    "Qwen2.5-1.5B-Instruct": 1543.7,
    "Qwen2.5-7B-Instruct": 7615.6,
    "Qwen3-0.6B": 596.0,
    "Qwen3-1.7B": 1720.6,
    "Qwen3-8B": 8190.7,
    "SmolLM2-135M-Instruct": 134.5,
    "SmolLM2-360M-Instruct": 361.8,
    "SmolLM2-1.7B-Instruct": 1711.4,
    "TinyLlama-1.1B-Chat-v1.0": 1100.0,
    "gemma-2b": 2506.2,
    "gemma-2-2b-it": 2614.3,
    "gemma-3-270m-it": 268.1,
    "gemma-3-1b-it": 999.9,
    "phi-2": 2779.7,
}


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
