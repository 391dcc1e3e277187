"""What decoders are put together from: projections and norms, with the names their checkpoints give them."""

import torch
from torch import Tensor, nn

from loralab_core.architecture.config import DecoderConfig
from loralab_core.ops import Lora, layer_norm, linear, rms_norm


def frozen(*shape: int) -> nn.Parameter:
    return nn.Parameter(torch.empty(*shape), requires_grad=False)


class Linear(nn.Module):
    """A projection as the checkpoint has it: `path` is its name there. `lora`, when set, is added to the product."""

    def __init__(self, in_features: int, out_features: int, bias: bool, path: str):
        super().__init__()
        self.in_features, self.out_features, self.path = in_features, out_features, path
        self.weight = frozen(out_features, in_features)
        self.bias = frozen(out_features) if bias else None
        self.lora: Lora | None = None

    def forward(self, x: Tensor) -> Tensor:
        return linear(x, self.weight, self.bias, self.lora)

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


class Embedding(nn.Module):
    """Not nn.Embedding: on a meta device that one's own start imports torch's compiler, which takes half a second."""

    def __init__(self, rows: int, width: int):
        super().__init__()
        self.weight = frozen(rows, width)

    def forward(self, ids: Tensor) -> Tensor:
        return nn.functional.embedding(ids, self.weight)
