"""Outlier twins: the same function, with a few input columns of every layer's projections many times as large.

Small models have no such columns, large ones do (Dettmers et al., LLM.int8(), arXiv:2208.07339, section 4): a norm's
gain takes a factor, the columns of the projections that read it are divided by that.
"""

import shutil
from collections.abc import Iterator
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from loralab_core.models import load_decoder
from loralab_core.models.decoder import Decoder, Layer
from loralab_core.models.naming import checkpoint_tensors
from loralab_core.models.parts import Norm

READERS = ("query", "key", "value", "qkv", "gate", "up", "gate_up", "router")  # of a norm's output, by attribute


@torch.no_grad()
def grow_outliers(model: Decoder, columns: int = 4, factor: float = 50.0, seed: int = 0) -> None:
    """Make `model` its own twin: `columns` of every norm before projections, other ones each time.

    The final norm stays: a tied head cannot be divided without the embedding.
    """
    generator = torch.Generator().manual_seed(seed)
    for layer in model.layers:
        assert isinstance(layer, Layer)
        for norm, readers in _norms(layer):
            chosen = torch.randperm(len(norm.weight), generator=generator)[:columns].to(norm.weight.device)
            norm.weight[chosen] = (norm.weight[chosen] + norm.offset) * factor - norm.offset
            if norm.bias is not None:
                norm.bias[chosen] *= factor
            for weight in readers:
                weight[..., chosen] /= factor


def write_outlier_twin(source: Path, place: Path, columns: int = 4, factor: float = 50.0, seed: int = 0) -> Path:
    """The twin of a checkpoint directory, in float32, as the new directory `place`."""
    model = load_decoder(source, "fp32", torch.device("cpu"))
    grow_outliers(model, columns, factor, seed)
    shutil.copytree(source, place, ignore=shutil.ignore_patterns("*.safetensors", "*.index.json"))
    place.chmod(0o755)
    tensors = {name: tensor.detach().clone().contiguous() for name, tensor in checkpoint_tensors(model).items()}
    save_file(tensors, place / "model.safetensors", {"format": "pt"})
    return place


def _norms(layer: Layer) -> Iterator[tuple[Norm, list[Tensor]]]:
    """The layer's norms with the weights [..., out, in] that read them."""
    attention, mlp = _readers(layer.attention), _readers(layer.mlp)
    shares = layer.residual == "shared"
    for norm, readers in ((layer.attention_norm, attention + mlp * shares), (layer.mlp_norm, mlp)):
        if isinstance(norm, Norm):
            yield norm, readers


def _readers(part: nn.Module) -> list[Tensor]:
    return [each.get_parameter("weight") for name, each in part.named_modules() if name.split(".")[-1] in READERS]
