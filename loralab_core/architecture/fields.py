"""Typed access to a config.json: every wrong or unknown value becomes a sentence that names the file and the field."""

from collections.abc import Sequence
from typing import Any

from loralab_core.architecture.config import Activation
from loralab_core.errors import BadInput

ACTIVATIONS: dict[str, Activation] = {
    "silu": "silu",
    "swish": "silu",
    "gelu": "gelu",
    "gelu_new": "gelu_tanh",
    "gelu_fast": "gelu_tanh",
    "gelu_pytorch_tanh": "gelu_tanh",
    "relu": "relu",
}
MOST, MOST_LAYERS, LARGEST = 1 << 31, 10_000, 1e30  # beyond, or no number (JSON's NaN, Infinity): damaged
SLIDING, FULL = "sliding_attention", "full_attention"


class Fields:
    """Reads one config.json. A field that is absent or null takes the default; without a default it is an error."""

    def __init__(self, raw: dict[str, Any], source: str):
        self.raw, self.source = raw, source

    def wrong(self, name: str, wanted: str) -> BadInput:
        found = repr(self.raw.get(name)) if name in self.raw else "nothing"
        return BadInput(f"{self.source}: field {name!r} should be {wanted}, found {found}")

    def integer(self, name: str, default: int | None = None, most: int = MOST) -> int:
        value = self.raw.get(name)
        value = default if value is None else value
        if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= most:
            raise self.wrong(name, "a positive whole number")
        return value

    def layers(self, name: str = "num_hidden_layers") -> int:
        return self.integer(name, most=MOST_LAYERS)

    def integer_or_none(self, name: str) -> int | None:
        return None if self.raw.get(name) is None else self.integer(name)

    def real(self, name: str, default: float) -> float:
        value = self.raw.get(name)
        value = default if value is None else value
        if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) < LARGEST:
            raise self.wrong(name, "a number")
        return float(value)

    def positive(self, name: str, default: float | None = None) -> float:
        """A number above 0; without a default it has to be there."""
        if (value := self.real(name, 0.0 if default is None else default)) <= 0:
            raise self.wrong(name, "a number above 0")
        return value

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

    def text_or(self, name: str, default: str) -> str:
        return default if self.raw.get(name) is None else self.text(name)

    def real_or_none(self, name: str, default: float | None = None) -> float | None:
        """Here null switches a part off; only an absent field takes the default."""
        value = self.raw.get(name, default)
        return None if value is None else Fields({name: value}, self.source).real(name, 0.0)

    def integer_or_zero(self, name: str, default: int) -> int:
        return 0 if self.raw.get(name) == 0 else self.integer(name) if self.raw.get(name) is not None else default

    def flags(self, name: str, count: int, default: Sequence[bool]) -> tuple[bool, ...]:
        """A list of `count` ones and zeros, or trues and falses."""
        found = self.raw.get(name)
        found = default if found is None else found
        if not isinstance(found, Sequence) or len(found) < count or not all(each in (0, 1) for each in found):
            raise self.wrong(name, f"a list of {count} ones and zeros")
        return tuple(bool(each) for each in found[:count])

    def integers(self, name: str) -> tuple[int, ...]:
        found = self.raw.get(name) or ()
        if not isinstance(found, list | tuple) or not all(type(each) is int for each in found):
            raise self.wrong(name, "a list of whole numbers")
        return tuple(found)

    def activation(self, *names: str, default: str = "silu") -> Activation:
        """Of the first of these fields that is set; of `hidden_act` where none is given."""
        name = next((self.raw[field] for field in names or ("hidden_act",) if self.raw.get(field)), default)
        if not isinstance(name, str) or name not in ACTIVATIONS:
            raise BadInput(f"{self.source}: activation {name!r} is not known (known: {', '.join(ACTIVATIONS)})")
        return ACTIVATIONS[name]

    def layer_types(self, layers: int, default: Sequence[str]) -> tuple[str, ...]:
        """Which attention each layer has: `layer_types` where the file says, else `default`."""
        found = self.raw.get("layer_types")
        kinds = tuple(default) if found is None else tuple(found) if isinstance(found, list) else ()
        if len(kinds) != layers or not all(kind in (SLIDING, FULL) for kind in kinds):
            raise self.wrong("layer_types", f"a list of {layers} names, each {SLIDING!r} or {FULL!r}")
        return kinds

    def refuse(self, name: str, *known: object) -> None:
        """BadInput where a part is switched on that the decoder does not have; `known` values besides null are fine."""
        value = self.raw.get(name)
        if value is not None and value not in known:
            raise BadInput(f"{self.source}: {name} = {value!r} is a part this decoder does not have")
