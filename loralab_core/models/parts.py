"""What decoders are put together from: projections and norms, with the names their checkpoints give them."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from loralab_core.architecture.config import DecoderConfig
from loralab_core.ops import Compute, Lora, layer_norm, linear, rms_norm
from loralab_core.quant import QuantTensor


def frozen(*shape: int) -> nn.Parameter:
    return nn.Parameter(torch.empty(*shape), requires_grad=False)


class Matrix(nn.Module):
    """What holds a weight: dense as a parameter, or quantised, which is frozen and no parameter."""

    weight: Any

    def hold(self, weight: QuantTensor, number: int = 0) -> None:
        """In place of what was held. `number`: of the expert, where there are several."""
        self._parameters.pop("weight", None)
        self.weight = weight

    def quantised(self) -> dict[int, QuantTensor]:
        """By number; none where the weight is dense."""
        return {0: self.weight} if isinstance(self.weight, QuantTensor) else {}

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Any:
        """Of `.to()` and its like a quantised weight takes the device alone: its types say how it is to be read."""
        super()._apply(fn, recurse)  # type: ignore[no-untyped-call]
        for number, weight in self.quantised().items():
            self.hold(weight.to(fn(weight.codes[:0]).device), number)
        return self


class Linear(Matrix):
    """A projection as the checkpoint has it: `path` is its name there. `lora`, when set, is added to the product."""

    def __init__(self, in_features: int, out_features: int, bias: bool, path: str):
        super().__init__()
        self.in_features, self.out_features, self.path = in_features, out_features, path
        self.weight: nn.Parameter | QuantTensor = frozen(out_features, in_features)
        self.bias = frozen(out_features) if bias else None
        self.lora: Lora | None = None
        self.compute: Compute = "auto"  # of a quantised weight

    def forward(self, x: Tensor) -> Tensor:
        return linear(x, self.weight, self.bias, self.lora, self.compute)

    def adapter_shapes(self, rank: int) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """Of an adapter's A and B here."""
        return (rank, self.in_features), (self.out_features, rank)


class Norm(nn.Module):
    """RMSNorm, or LayerNorm with a bias, over the last dimension."""

    def __init__(self, config: DecoderConfig, width: int):
        super().__init__()
        self.eps, self.offset = config.norm_eps, config.norm_offset
        self.weight = frozen(width)
        self.bias = frozen(width) if config.norm == "layer" else None

    def forward(self, x: Tensor) -> Tensor:
        if self.bias is not None:
            return layer_norm(x, self.weight, self.bias, self.eps)
        return rms_norm(x, self.weight, self.eps, self.offset)


class Embedding(Matrix):
    """Rows of a matrix; float32 ones where it is quantised, to INT8: 4 bits are too few for what every layer adds to.

    Not nn.Embedding: on a meta device that one's own start imports torch's compiler, which takes half a second.
    """

    def __init__(self, rows: int, width: int):
        super().__init__()
        self.weight: nn.Parameter | QuantTensor = frozen(rows, width)

    def forward(self, ids: Tensor) -> Tensor:
        if isinstance(self.weight, QuantTensor):
            scales = nn.functional.embedding(ids, self.weight.scales[:, None])
            return nn.functional.embedding(ids, self.weight.codes) * scales
        return nn.functional.embedding(ids, self.weight)
