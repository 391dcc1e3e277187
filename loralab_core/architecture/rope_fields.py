"""Rotary positions as a config.json states them, in the older and the newer way.

Newer files keep everything in `rope_parameters`; older ones have `rope_theta`, `rope_scaling` and
`partial_rotary_factor` beside the other fields.
"""

import math
from typing import Any

from loralab_core.architecture.config import Rope, RopeScaling
from loralab_core.architecture.fields import Fields
from loralab_core.errors import BadInput

KINDS = ("linear", "llama3", "longrope", "yarn")


def rope(fields: Fields, head_dim: int, *, partial: bool = False) -> Rope:
    """`partial`: this family can turn a share of each head. Raises BadInput for a scaling that is not known."""
    found = _stated(fields)
    inside = Fields({**_plain(fields), **found}, f"{fields.source} (rope)")
    if not partial:
        inside.refuse("partial_rotary_factor", 1.0)
    size = int(head_dim * inside.real("partial_rotary_factor", 1.0))
    return Rope(inside.positive("rope_theta", 10000.0), size, _scaling(inside, found, fields))


def _stated(fields: Fields) -> dict[str, Any]:
    newer, older = fields.raw.get("rope_parameters"), fields.raw.get("rope_scaling")
    if newer and older and newer != older:  # a model card's advice added to a newer file: which one is meant?
        raise BadInput(
            f"{fields.source}: rope_parameters and rope_scaling say different things; put all of it into "
            f"rope_parameters and remove rope_scaling"
        )
    found, name = newer or older or {}, "rope_parameters" if newer else "rope_scaling"
    if not isinstance(found, dict) or any(isinstance(each, dict) for each in found.values()):
        raise fields.wrong(name, "one object for all layers, or null")
    return found


def _plain(fields: Fields) -> dict[str, Any]:
    return {name: fields.raw[name] for name in ("rope_theta", "partial_rotary_factor") if name in fields.raw}


def _scaling(inside: Fields, found: dict[str, Any], fields: Fields) -> RopeScaling | None:
    kind: str = found.get("rope_type") or found.get("type") or "default"
    if kind == "default":
        return None
    if kind not in KINDS:
        raise BadInput(f"{fields.source}: rotary scaling {kind!r} is not supported (known: {', '.join(KINDS)})")
    if kind == "longrope":
        return _long(inside, found, fields)
    if "factor" not in found:
        raise inside.wrong("factor", "a number")
    if kind == "yarn":
        return _yarn(inside, found, fields)
    return RopeScaling(
        kind="llama3" if kind == "llama3" else "linear",
        factor=inside.positive("factor"),
        low_freq_factor=inside.real("low_freq_factor", 1.0),
        high_freq_factor=inside.real("high_freq_factor", 4.0),
        original_context=_original(found, fields),
    )


def _long(inside: Fields, found: dict[str, Any], fields: Fields) -> RopeScaling:
    """The magnitude is √(1 + ln(factor) / ln(original context)) unless stated (arXiv:2402.13753, section 3.4)."""
    original, factor = _original(found, fields), inside.positive("factor", _growth(found, fields))
    natural = 1.0 if factor <= 1.0 else math.sqrt(1 + math.log(factor) / math.log(original))
    return RopeScaling(
        kind="longrope",
        original_context=original,
        short_factors=_factors(inside, "short_factor"),
        long_factors=_factors(inside, "long_factor"),
        magnitude=inside.real("attention_factor", natural),
    )


def _yarn(inside: Fields, found: dict[str, Any], fields: Fields) -> RopeScaling:
    """As in transformers: the magnitude is that of `mscale` over that of `mscale_all_dim` where both are given."""
    factor = inside.positive("factor", _growth(found, fields))
    if inside.real("rope_theta", 10000.0) <= 1:
        raise inside.wrong("rope_theta", "a number above 1")
    mscale, all_dim = inside.real("mscale", 0.0), inside.real("mscale_all_dim", 0.0)
    natural = _mscale(factor, mscale) / _mscale(factor, all_dim) if mscale and all_dim else _mscale(factor, 1.0)
    return RopeScaling(
        kind="yarn",
        factor=factor,
        original_context=_original(found, fields),
        magnitude=inside.real("attention_factor", natural),
        beta_fast=inside.real("beta_fast", 0.0) or 32.0,
        beta_slow=inside.real("beta_slow", 0.0) or 1.0,
        truncate=inside.flag("truncate", True),
    )


def _mscale(factor: float, mscale: float) -> float:
    """arXiv:2309.00071, section 3.4."""
    return 1.0 if factor <= 1 else 0.1 * mscale * math.log(factor) + 1.0


def _original(found: dict[str, Any], fields: Fields) -> int:
    """Tokens the model was first trained for. Phi-3 states it outside, and that goes first in transformers."""
    stated = found | {key: value for key, value in fields.raw.items() if value is not None}
    context = fields.integer("max_position_embeddings", 4096)
    return Fields(stated, fields.source).integer("original_max_position_embeddings", context)


def _growth(found: dict[str, Any], fields: Fields) -> float:
    return fields.integer("max_position_embeddings", 4096) / _original(found, fields)


def _factors(inside: Fields, name: str) -> tuple[float, ...]:
    found = inside.raw.get(name)
    if not isinstance(found, list) or not all(isinstance(each, int | float) for each in found):
        raise inside.wrong(name, "a list of numbers")
    return tuple(map(float, found))
