"""Typed access to a config.json: every wrong or unknown value becomes a sentence that names the file and the field."""

from typing import Any, Literal

from loralab_core.architecture.config import RopeScaling
from loralab_core.errors import BadInput

Activation = Literal["silu", "gelu", "gelu_tanh"]
ACTIVATIONS: dict[str, Activation] = {
    "silu": "silu",
    "swish": "silu",
    "gelu": "gelu",
    "gelu_new": "gelu_tanh",
    "gelu_pytorch_tanh": "gelu_tanh",
}
SCALINGS: dict[str, Literal["linear", "llama3"]] = {"linear": "linear", "llama3": "llama3"}


class Fields:
    """Reads one config.json. A field that is absent or null takes the default; without a default it is an error."""

    def __init__(self, raw: dict[str, Any], source: str):
        self.raw, self.source = raw, source

    def wrong(self, name: str, wanted: str) -> BadInput:
        found = repr(self.raw.get(name)) if name in self.raw else "nothing"
        return BadInput(f"{self.source}: field {name!r} should be {wanted}, found {found}")

    def integer(self, name: str, default: int | None = None) -> int:
        value = self.raw.get(name)
        value = default if value is None else value
        if isinstance(value, bool) or not isinstance(value, int) or value < 1:
            raise self.wrong(name, "a positive whole number")
        return value

    def integer_or_none(self, name: str) -> int | None:
        return None if self.raw.get(name) is None else self.integer(name)

    def real(self, name: str, default: float) -> float:
        value = self.raw.get(name)
        value = default if value is None else value
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise self.wrong(name, "a number")
        return float(value)

    def flag(self, name: str, default: bool = False) -> bool:
        value = self.raw.get(name)
        value = default if value is None else value
        if not isinstance(value, bool):
            raise self.wrong(name, "true or false")
        return value

    def text(self, name: str) -> str:
        value = self.raw.get(name)
        if not isinstance(value, str):
            raise self.wrong(name, "a text")
        return value

    def activation(self) -> Activation:
        name = self.raw.get("hidden_act") or "silu"
        if name not in ACTIVATIONS:
            raise BadInput(f"{self.source}: activation {name!r} is not known (known: {', '.join(ACTIVATIONS)})")
        return ACTIVATIONS[name]

    def rope(self) -> dict[str, Any]:
        """Newer files keep everything in `rope_parameters`; older ones have `rope_theta` and `rope_scaling`."""
        found = self.raw.get("rope_parameters") or self.raw.get("rope_scaling") or {}
        if not isinstance(found, dict):
            raise self.wrong("rope_scaling", "an object or null")
        return found

    def rope_theta(self) -> float:
        return Fields({**self.raw, **self.rope()}, self.source).real("rope_theta", 10000.0)

    def rope_scaling(self) -> RopeScaling | None:
        rope = self.rope()
        kind: str = rope.get("rope_type") or rope.get("type") or "default"
        if kind == "default":
            return None
        if kind not in SCALINGS:
            raise BadInput(f"{self.source}: rotary scaling {kind!r} is not supported (known: {', '.join(SCALINGS)})")
        inside = Fields(rope, f"{self.source} (rope)")
        return RopeScaling(
            kind=SCALINGS[kind],
            factor=inside.real("factor", 1.0),
            low_freq_factor=inside.real("low_freq_factor", 1.0),
            high_freq_factor=inside.real("high_freq_factor", 4.0),
            original_context=inside.integer("original_max_position_embeddings", 8192),
        )
