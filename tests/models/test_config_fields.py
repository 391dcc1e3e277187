"""config.json as it is written in the wild: read as transformers reads it, or refused in one sentence."""

import copy
import importlib
import json
from typing import Any

import pytest
import torch
from huggingface_hub.errors import StrictDataclassError
from torch import Tensor
from transformers.models.auto.configuration_auto import CONFIG_MAPPING

from loralab_core.architecture.config import DecoderConfig
from loralab_core.architecture.families import parse_config
from loralab_core.errors import BadInput
from loralab_core.models import Decoder
from loralab_core.models.rope import inverse_frequencies
from tests.models.checkpoints import LLAMA3_ROPE
from tests.models.families import FAMILIES

BASE: dict[str, Any] = {
    "vocab_size": 97,
    "hidden_size": 64,
    "intermediate_size": 80,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 16,
    "max_position_embeddings": 256,
    "pad_token_id": 0,
}
LINEAR = {"rope_type": "linear", "factor": 4.0}
LONG = {"short_factor": [1.0 + 0.1 * pair for pair in range(8)], "long_factor": [2.0 + 0.3 * pair for pair in range(8)]}
LONG_OUTSIDE = {"original_max_position_embeddings": 64}
EACH = {
    "full_attention": {"rope_type": "linear", "factor": 2.0},
    "sliding_attention": {"rope_type": "default", "rope_theta": 7e3},
}
SPELLINGS: dict[str, dict[str, Any]] = {
    "nothing": {},
    "beside the others": {"rope_theta": 5e5},
    "newer": {"rope_parameters": {"rope_type": "default", "rope_theta": 7e4}},
    "newer and beside": {"rope_parameters": {"rope_type": "default", "rope_theta": 7e4}, "rope_theta": 3e4},
    "newer without theta": {"rope_parameters": LINEAR, "rope_theta": 3e4},
    "newer and older": {"rope_parameters": {"rope_type": "default", "rope_theta": 7e4}, "rope_scaling": LINEAR},
    "linear": {"rope_scaling": LINEAR},
    "linear without factor": {"rope_scaling": {"type": "linear"}},
    "llama3": {"rope_scaling": LLAMA3_ROPE, "rope_theta": 5e5},
    "llama3 without context": {
        "rope_scaling": {key: value for key, value in LLAMA3_ROPE.items() if key != "original_max_position_embeddings"},
        "rope_theta": 5e5,
    },
    "llama3 with the context outside": {"rope_scaling": LLAMA3_ROPE, "original_max_position_embeddings": 32},
    "longrope": {"rope_scaling": {"rope_type": "longrope", **LONG}, **LONG_OUTSIDE},
    "longrope with all inside": {"rope_scaling": {"rope_type": "longrope", "factor": 3.0, **LONG, **LONG_OUTSIDE}},
    "longrope called yarn": {"rope_scaling": {"type": "yarn", **LONG}, **LONG_OUTSIDE},
    "a share of each head": {"partial_rotary_factor": 0.5},
    "as GPT-NeoX says it": {"rotary_pct": 0.5, "rotary_emb_base": 3e4, "rope_theta": 5e4},
    "of each kind of layer": {"rope_parameters": EACH, "rope_theta": 9e4, "rope_local_base_freq": 5e3},
    "of one kind of layer": {"rope_parameters": {"full_attention": LINEAR}, "rope_local_base_freq": 5e3},
}
ROTARY = [family for family in FAMILIES if family not in ("gpt2", "opt", "deepseek")]


def model_type(family: str) -> str:
    return {"gemma3": "gemma3_text"}.get(family, family)


def reference(raw: dict[str, Any]) -> list[tuple[Tensor, float]]:
    """transformers' own frequencies and magnitudes; of Gemma 3 those of full layers and of sliding ones."""
    config = CONFIG_MAPPING[raw["model_type"]].from_dict(copy.deepcopy(raw))
    module = importlib.import_module(type(config).__module__.replace("configuration", "modeling"))
    (name,) = (name for name in dir(module) if name.endswith("RotaryEmbedding"))
    made = getattr(module, name)(config)
    kinds = ("full_attention_", "sliding_attention_") if raw["model_type"] == "gemma3_text" else ("",)
    return [(getattr(made, f"{kind}inv_freq"), getattr(made, f"{kind}attention_scaling")) for kind in kinds]


@pytest.mark.parametrize("spelt", SPELLINGS)
@pytest.mark.parametrize("family", ROTARY)
def test_positions_turn_as_in_the_reference_or_are_refused(family: str, spelt: str) -> None:
    kinds = {"layer_types": ["sliding_attention", "full_attention"]} if family == "gemma3" else {}
    raw = BASE | kinds | SPELLINGS[spelt] | {"model_type": model_type(family)}
    try:
        ours = parse_config(raw, "config.json").ropes
    except BadInput:
        assert spelt not in ("nothing", "beside the others", "linear", "llama3") or family == "phi3"
        return
    for rope, (expected, magnitude) in zip(ours, reference(raw), strict=True):
        assert torch.allclose(inverse_frequencies(rope), expected, rtol=1e-5, atol=0)
        assert (rope.scaling.magnitude if rope.scaling else 1.0) == pytest.approx(magnitude)


@pytest.mark.parametrize("kind", ("su", "yarn", "longrope"))
def test_the_names_that_phi_3_had_for_longrope(kind: str) -> None:
    raw = BASE | LONG_OUTSIDE | {"model_type": "phi3"}
    (rope,) = parse_config(raw | {"rope_scaling": {"type": kind, **LONG}}, "config.json").ropes
    (expected, magnitude), *_ = reference(raw | {"rope_scaling": {"type": "longrope", **LONG}})
    assert rope.scaling is not None and rope.scaling.magnitude == pytest.approx(magnitude)
    assert torch.allclose(inverse_frequencies(rope), expected)


def tiny(family: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(FAMILIES[family][0]().config.to_json_string(use_diff=False))
    return found


@pytest.mark.parametrize("family", [family for family in FAMILIES if family != "deepseek"])
def test_a_field_that_is_left_out_has_the_reference_s_default(family: str) -> None:
    raw = tiny(family) | {"use_sliding_window": True}
    for name in raw.keys() - {"model_type"}:
        short = {key: value for key, value in raw.items() if key != name}
        try:
            whole = CONFIG_MAPPING[model_type(family)].from_dict(copy.deepcopy(short)).to_dict()
        except StrictDataclassError:
            continue  # the reference needs it too
        ours, theirs = parsed(short), parsed(whole)
        assert ours is None or theirs is None or ours == theirs, name


def parsed(raw: dict[str, Any]) -> DecoderConfig | None:
    try:
        return parse_config(raw, "config.json")
    except BadInput:
        return None


WRONG: list[Any] = [0, -1, 3, 10**9, 10**30, 1e400, float("nan"), "x", [], {}, True, None, [1], ["x", "x"], {"a": 1}]
MORE = ("rope_theta", "rope_scaling", "rope_parameters", "partial_rotary_factor", "head_dim", "layer_types")


@pytest.mark.parametrize("family", FAMILIES)
def test_whatever_a_field_says_it_is_read_or_refused(family: str) -> None:
    raw, built = tiny(family), set()
    for name in {*raw, *MORE, "mlp_only_layers", "sliding_window", "quantization_config"}:
        for value in WRONG:
            config = parsed(raw | {name: value})
            if config is not None and config.layers < 100 and config not in built:
                built.add(config)
                with torch.device("meta"):
                    Decoder(config)


@pytest.mark.parametrize("family", FAMILIES)
def test_a_model_that_sees_what_follows_is_refused(family: str) -> None:
    with pytest.raises(BadInput, match="is_causal"):
        parse_config(tiny(family) | {"is_causal": False}, "config.json")


def test_gemma_s_activation_is_the_approximation_only_where_early_files_say_it() -> None:
    raw = tiny("gemma")
    assert parse_config({**raw, "hidden_act": "gelu"}, "config.json").activation == "gelu_tanh"
    assert parse_config(tiny("gemma2") | {"hidden_activation": "gelu"}, "config.json").activation == "gelu"
    with pytest.raises(BadInput, match="use_bidirectional_attention"):
        parse_config({**raw, "use_bidirectional_attention": True}, "config.json")
