"""The half of a layer that looks at one token at a time: an MLP, or a mixture of them."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from loralab_core.architecture.config import DecoderConfig, Experts
from loralab_core.models.merged import Merged
from loralab_core.models.parts import Linear, Matrix, frozen
from loralab_core.ops import Compute, Lora, activate, gated, gated_halves, linear
from loralab_core.quant import QuantTensor


class MLP(nn.Module):
    def __init__(self, config: DecoderConfig, layer: int, path: str = "mlp", inner: int | None = None):
        super().__init__()
        inner = config.intermediate_size if inner is None else inner

        def projection(name: str, in_features: int, out_features: int) -> Linear:
            return Linear(
                in_features, out_features, config.mlp_bias, config.names[f"layers.{{}}.{path}.{name}"].format(layer)
            )

        self.activation = config.activation
        if config.fused_gate_up:
            self.gate_up = projection("gate_up", config.hidden_size, 2 * inner)
        else:
            self.gate = projection("gate", config.hidden_size, inner) if config.gated else None
            self.up = projection("up", config.hidden_size, inner)
            self.merged = Merged(self.gate, self.up) if self.gate else None
        self.down = projection("down", inner, config.hidden_size)

    def forward(self, x: Tensor) -> Tensor:
        return self.down(self._inner(x))  # type: ignore[no-any-return]

    def _inner(self, x: Tensor) -> Tensor:
        if hasattr(self, "gate_up"):
            return gated_halves(self.gate_up(x), self.activation)
        if self.gate is None or self.merged is None:
            return activate(self.up(x), self.activation)
        if (both := self.merged.side_by_side(x)) is not None:
            return gated_halves(both, self.activation)
        return gated(self.gate(x), self.up(x), self.activation)


class ExpertLinear(Matrix):
    """One projection of every expert, as PEFT's target parameters adapt it: one tensor, one A and B an expert.

    Quantised, each expert's weight is a matrix of its own.
    """

    def __init__(self, count: int, in_features: int, out_features: int, path: str):
        super().__init__()
        self.count, self.in_features, self.out_features, self.path = count, in_features, out_features, path
        self.weight: nn.Parameter | dict[int, QuantTensor] = frozen(count, out_features, in_features)
        self.lora: Lora | None = None  # a [count, rank, in], b [count, out, rank]
        self.compute: Compute = "auto"

    def hold(self, weight: QuantTensor, number: int = 0) -> None:
        self._parameters.pop("weight", None)
        self.weight = self.quantised() | {number: weight}

    def quantised(self) -> dict[int, QuantTensor]:
        held = self.__dict__.get("weight")  # None where it is a parameter, or was until now
        return held if isinstance(held, dict) else {}

    def adapter_shapes(self, rank: int) -> tuple[tuple[int, ...], tuple[int, ...]]:
        return (self.count, rank, self.in_features), (self.count, self.out_features, rank)

    def pieces(self) -> list[tuple[Tensor | QuantTensor, Lora | None]]:
        """Of each expert. Unbound at once: indexing them one by one would fill a whole gradient each time."""
        weights = self._weights()
        if self.lora is None:
            return [(weight, None) for weight in weights]
        pairs = zip(self.lora.a.unbind(), self.lora.b.unbind(), strict=True)
        loras = [Lora(a, b, self.lora.scale) for a, b in pairs]
        return list(zip(weights, loras, strict=True))

    def _weights(self) -> Sequence[Tensor | QuantTensor]:
        if isinstance(self.weight, dict):
            return [self.weight[expert] for expert in range(self.count)]
        return self.weight.unbind()


class Router(Linear):
    """Scores of every expert, in float32: a rounded score may choose another expert."""

    def forward(self, x: Tensor) -> Tensor:
        assert isinstance(self.weight, Tensor)  # never quantised
        return linear(x.float(), self.weight.float(), None, self.lora)


class Mixture(nn.Module):
    """Each token through the experts its router chooses (Shazeer et al., arXiv:1701.06538), and the shared one."""

    def __init__(self, config: DecoderConfig, experts: Experts, layer: int):
        super().__init__()
        names, hidden, inner = config.names, config.hidden_size, experts.intermediate_size
        path = names["layers.{}.mlp.experts"].format(layer)
        self.experts, self.activation = experts, config.activation
        self.router = Router(hidden, experts.count, False, f"{path.removesuffix('.experts')}.gate")
        self.gate_up = ExpertLinear(experts.count, hidden, 2 * inner, f"{path}.gate_up_proj")
        self.down = ExpertLinear(experts.count, inner, hidden, f"{path}.down_proj")
        self.shared = MLP(config, layer, "mlp.shared", experts.shared_size) if experts.shared_size else None

    def forward(self, x: Tensor) -> Tensor:
        flat = x.flatten(0, -2)
        weights, chosen = self._route(flat)
        out = torch.zeros_like(flat)
        parts = zip(self.gate_up.pieces(), self.down.pieces(), strict=True)
        for expert, ((gate_up, inner_lora), (down, outer_lora)) in enumerate(parts):
            token, slot = torch.where(chosen == expert)
            if token.numel():
                left, right = linear(flat[token], gate_up, None, inner_lora, self.gate_up.compute).chunk(2, -1)
                y = linear(gated(left, right, self.activation), down, None, outer_lora, self.down.compute)
                out = out.index_add(0, token, (y * weights[token, slot, None]).to(out.dtype))
        return (out if self.shared is None else out + self.shared(flat)).view_as(x)

    def _route(self, flat: Tensor) -> tuple[Tensor, Tensor]:
        """weights [tokens, active] float32 and which experts they are of."""
        chances = torch.softmax(self.router(flat), -1)
        weights, chosen = chances.topk(self.experts.active, -1)
        if self.experts.normalised:
            weights = weights / weights.sum(-1, keepdim=True)
        return weights * self.experts.scale, chosen
