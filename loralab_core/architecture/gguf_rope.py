"""Rotary positions of a GGUF file, as a config.json states them."""

from typing import Any

from loralab_core.gguf import GGUFFile, read_floats

LLAMA3, SHORT, LONG = "rope_freqs.weight", "rope_factors_short.weight", "rope_factors_long.weight"


def rope(file: GGUFFile, head_dim: Any, architecture: str) -> dict[str, Any]:
    stated = {
        key.removeprefix(f"{architecture}.rope."): value
        for key, value in file.metadata.items()
        if key.startswith(f"{architecture}.rope.")
    }
    found = {"rope_theta": stated.get("freq_base", 10000.0)}
    size = stated.get("dimension_count", head_dim)
    found["partial_rotary_factor"] = 1.0
    if size != head_dim and isinstance(size, int) and isinstance(head_dim, int) and head_dim > 0:
        found["partial_rotary_factor"] = (size + 0.5) / head_dim  # the half: rounded down, it is `size` for certain
    if original := stated.get("scaling.original_context_length"):
        found["original_max_position_embeddings"] = original
    scaling = _factors(file, stated) or _scaling(stated)
    return found | ({"rope_scaling": scaling} if scaling else {})


def _factors(file: GGUFFile, stated: dict[str, Any]) -> dict[str, Any]:
    """A divisor for each pair. The converter keeps Llama 3's scaling that way too: one list, no magnitude."""
    if LLAMA3 in file.tensors:
        factors = read_floats(file, LLAMA3)
        return {"rope_type": "longrope", "short_factor": factors, "long_factor": factors, "attention_factor": 1.0}
    if SHORT not in file.tensors or LONG not in file.tensors:
        return {}
    return {
        "rope_type": "longrope",
        "short_factor": read_floats(file, SHORT),
        "long_factor": read_floats(file, LONG),
        "attention_factor": stated.get("scaling.attn_factor", 1.0),
    }


def _scaling(stated: dict[str, Any]) -> dict[str, Any]:
    """What is not known is refused by name where the configuration is parsed."""
    factor = stated.get("scaling.factor", stated.get("scale_linear", 1.0))
    kind = stated.get("scaling.type", "linear" if factor != 1.0 else "none")
    if kind == "yarn":
        return _yarn(stated, factor)
    return {} if kind == "none" else {"rope_type": kind, "factor": factor}


def _yarn(stated: dict[str, Any], factor: Any) -> dict[str, Any]:
    """llama.cpp's own constants are transformers' defaults; a file that states others is not read by guessing."""
    own = sorted(key for key in stated if key.startswith("scaling.yarn_") or key == "scaling.attn_factor")
    if own:
        return {"rope_type": f"yarn with {', '.join(own)}"}
    return {"rope_type": "yarn", "factor": factor}
