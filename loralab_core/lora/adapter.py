"""An adapter: low-rank weights for some projections of one model. Switching adapters sets pointers, nothing is copied.

W stays frozen; the projection computes W·x + scale·B·A·x with A [rank, in], B [out, rank] (arXiv:2106.09685).
B starts at zero, so a fresh adapter changes nothing; A starts uniform as nn.Linear does, drawn from a seed.
Experts have one A and one B each: A [experts, rank, in], B [experts, out, rank].
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor, nn

from loralab_core.errors import BadInput
from loralab_core.models.decoder import Decoder
from loralab_core.models.mlp import MLP, ExpertLinear, Router
from loralab_core.models.parts import Linear
from loralab_core.ops import Lora
from loralab_core.ops.random_bits import counter_seed

Projection = Linear | ExpertLinear


@dataclass(frozen=True)
class LoraSettings:
    """What adapter_config.json says of an adapter; `targets` are checkpoint module names such as "q_proj"."""

    rank: int
    alpha: float
    targets: tuple[str, ...]
    parameters: tuple[str, ...] = ()  # of experts, by the ends of their paths: "mlp.experts.down_proj"
    dropout: float = 0.0
    rank_stabilised: bool = False  # scale alpha/sqrt(rank) instead of alpha/rank (arXiv:2312.03732)
    rank_pattern: dict[str, int] = field(default_factory=dict)
    alpha_pattern: dict[str, float] = field(default_factory=dict)
    base_model: str | None = None

    def scale(self, rank: int, alpha: float) -> float:
        return alpha / math.sqrt(rank) if self.rank_stabilised else alpha / rank


@dataclass
class Adapter:
    """`layers` maps a projection's checkpoint path ("model.layers.0.self_attn.q_proj") to its weights."""

    settings: LoraSettings
    layers: dict[str, Lora]

    def parameters(self) -> list[Tensor]:
        """A and B of every layer, in the model's order."""
        return [tensor for lora in self.layers.values() for tensor in (lora.a, lora.b)]

    def parameter_count(self) -> int:
        return sum(tensor.numel() for tensor in self.parameters())

    def snapshot(self) -> "Adapter":
        """A copy that training no longer changes; megabytes, so cheap enough for every answer."""
        frozen = {
            path: replace(lora, a=lora.a.detach().clone(), b=lora.b.detach().clone(), seed=None, kept=None)
            for path, lora in self.layers.items()
        }
        return Adapter(self.settings, frozen)

    def answering(self) -> "Adapter":
        """The same tensors for one answer, in which they do not change: what products make of them first is kept."""
        return Adapter(self.settings, {path: replace(lora, seed=None, kept={}) for path, lora in self.layers.items()})

    def set_dropout_seed(self, seed: int | None) -> None:
        """Give every layer its own mask for this micro-batch; None switches dropout off."""
        for number, lora in enumerate(self.layers.values()):
            lora.seed = None if seed is None or lora.dropout == 0.0 else counter_seed(seed, number)


def projections(part: nn.Module) -> Iterator[Projection]:
    """Every projection of a part of the model, in order."""
    for module in part.modules():
        if isinstance(module, Linear | ExpertLinear):
            yield module


def find_targets(model: Decoder, targets: str) -> dict[str, Projection]:
    """The projections that `targets` names: "all", "attention", "mlp", or names separated by commas.

    The head is none: adapters leave it alone. A name matches a projection's last part ("q_proj") or its whole path or
    a dotted end of it. Raises BadInput that lists what the model has when a name matches nothing.
    """
    every = {projection.path: projection for projection in projections(model.layers)}
    if targets in ("all", "attention", "mlp"):
        parts = [model.layers] if targets == "all" else [getattr(layer, targets) for layer in model.layers]
        chosen = {projection.path: projection for part in parts for projection in projections(part)}
        left_out = _left_out(model)
        return {path: projection for path, projection in chosen.items() if path not in left_out}
    names = [name.strip() for name in targets.split(",") if name.strip()]
    for name in names:
        if not any(matches(path, name) for path in every):
            known = sorted({path.rpartition(".")[2] for path in every})
            raise BadInput(f"no projection is called {name!r}; this model has {', '.join(known)}")
    if not names:
        raise BadInput("no targets given; use all, attention, mlp or names such as q_proj,v_proj")
    return {path: linear for path, linear in every.items() if any(matches(path, name) for name in names)}


def _left_out(model: Decoder) -> set[str]:
    """Of a mixture of experts, what is adapted only where it is named.

    Routers: whoever moves one moves every token between experts. Plain MLPs beside experts: PEFT takes their names for
    those of the experts, so it could not read the adapter.
    """
    if model.config.experts is None:
        return set()
    apart = [module for module in model.layers.modules() if isinstance(module, MLP | Router)]
    return {projection.path for module in apart for projection in projections(module)}


def matches(path: str, name: str) -> bool:
    return path == name or path.endswith(f".{name}")


def create_adapter(
    model: Decoder, *, rank: int, alpha: float, dropout: float = 0.0, targets: str = "all", seed: int = 0
) -> Adapter:
    """A fresh float32 adapter for the named projections, the same for the same seed. Raises as find_targets does."""
    chosen = find_targets(model, targets)
    settings = LoraSettings(rank, alpha, *named_by_peft(chosen), dropout)
    generator = torch.Generator().manual_seed(counter_seed(seed, 1))
    layers = {}
    for path, projection in chosen.items():
        bound = 1 / math.sqrt(projection.in_features)  # kaiming_uniform_(a=√5), PEFT's and nn.Linear's choice
        shape_a, shape_b = projection.adapter_shapes(rank)
        a = torch.empty(shape_a).uniform_(-bound, bound, generator=generator).to(model.device)
        b = torch.zeros(shape_b, device=model.device)
        layers[path] = Lora(a, b, settings.scale(rank, alpha), dropout if isinstance(projection, Linear) else 0.0)
    return Adapter(settings, layers)


def named_by_peft(chosen: dict[str, Projection]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """What PEFT calls them: target modules by their last name, parameters of experts by the end of their path."""
    modules = {path.rpartition(".")[2] for path, one in chosen.items() if isinstance(one, Linear)}
    parameters = {".".join(path.split(".")[-3:]) for path, one in chosen.items() if isinstance(one, ExpertLinear)}
    return tuple(sorted(modules)), tuple(sorted(parameters))


def use_adapter(model: Decoder, adapter: Adapter | None) -> None:
    """Point every projection at its weights in `adapter`, or at none."""
    layers = adapter.layers if adapter else {}
    for projection in projections(model.layers):
        projection.lora = layers.get(projection.path)
