"""The layout in which PEFT keeps the adapters of experts: target parameters of one module, wrapped one in the other.

A of all experts lie below each other, [experts · rank, in]; B's columns go by rank first, [out, rank · experts]. A
module that has both its parameters adapted is wrapped twice, and the first one's tensors lie inside the second's.
"""

from collections.abc import Container

from torch import Tensor

from loralab_core.lora.adapter import Projection
from loralab_core.models.mlp import ExpertLinear

ORDER = ("gate_up_proj", "down_proj")  # as PEFT comes by them


def wrapped(path: str, adapted: Container[str]) -> str:
    """Where the file has the adapter of `path`, when the projections in `adapted` have one."""
    module, _, parameter = path.rpartition(".")
    if not module.endswith(".experts"):
        return path
    outside = [later for later in ORDER[ORDER.index(parameter) + 1 :] if f"{module}.{later}" in adapted]
    return module + ".base_layer" * len(outside)


def as_peft_has_it(a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
    return (a, b) if a.dim() == 2 else (a.flatten(0, 1), b.permute(1, 2, 0).flatten(1))


def as_we_have_it(a: Tensor, b: Tensor, projection: Projection) -> tuple[Tensor, Tensor]:
    """Raises RuntimeError where the sizes cannot be shared among the experts."""
    if not isinstance(projection, ExpertLinear):
        return a, b
    count = projection.count
    return a.reshape(count, -1, a.shape[1]), b.reshape(b.shape[0], -1, count).permute(2, 0, 1).contiguous()
