"""Models of random weights, made where they are used: no file of 16 GB is written or read."""

from pathlib import Path
from typing import Any

import torch

from benchmarks.gpu.half import NAMES, half
from loralab_core.architecture.families import parse_config
from loralab_core.lora.loaded import LoadedModel
from loralab_core.models.decoder import Decoder
from loralab_core.models.incoming import Recipe
from loralab_core.models.loading import place
from loralab_core.ops.native.choice_gpu import settle

SPREAD = 0.02  # standard deviation of the weights, as these families begin


@torch.no_grad()
def random_model(config: dict[str, Any], base: str, device: torch.device) -> LoadedModel:
    """base: the device's 16 bits, or quantised as `load` does it: projections in 4, embedding and head in 8."""
    recipe = None if base in NAMES.values() else Recipe.of(base)
    with torch.device("meta"):
        model = Decoder(parse_config(config, "the benchmark's configuration"))
    place(model, half(device), device, recipe)
    for path, module in model.named_modules():
        for name, parameter in tuple(module.named_parameters(recurse=False)):
            kind = recipe.kind_of(path, module) if recipe and name == "weight" else None
            if kind and recipe:
                recipe.hold(module, kind, device, 0, _random(parameter.shape, device))
            elif parameter.dim() > 1:
                parameter.copy_(_random(parameter.shape, device))
            else:
                parameter.fill_(0.0 if name == "bias" else 1.0)
    if model.config.tied_head:
        model.tie_head()
    if recipe:
        model.merge()
        if device.type == "cuda":
            settle(device.index or 0, None)  # as before a run: what is fastest here is measured once
    return LoadedModel(model.eval(), None, Path("random"), base, device)


def _random(shape: torch.Size, device: torch.device) -> torch.Tensor:
    return torch.randn(shape, device=device, dtype=half(device)) * SPREAD


def weight_bytes(model: Decoder) -> int:
    """Of what a token reads: all weights but an embedding that is not the head too, of which it is one row."""
    held = {id(tensor): tensor for tensor in _tensors(model)}
    return sum(tensor.nbytes for tensor in held.values())


def _tensors(model: Decoder) -> list[torch.Tensor]:
    from loralab_core.models.parts import Matrix

    apart = model.embedding if not model.config.tied_head else None
    modules = [module for module in model.modules() if module is not apart]
    quantised = [one for module in modules if isinstance(module, Matrix) for one in module.quantised().values()]
    dense = [each for module in modules for each in module.parameters(recurse=False)]
    return dense + [tensor for one in quantised for tensor in one.tensors().values()]
