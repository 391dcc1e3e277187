"""A model directory whose model.safetensors is our own quantised file, under the checkpoint's names."""

from collections.abc import Iterator
from pathlib import Path

import torch

from loralab_core.errors import BadInput
from loralab_core.models.decoder import Decoder
from loralab_core.models.incoming import Recipe, weights
from loralab_core.models.naming import stored_as
from loralab_core.quant.file import load_quantized
from loralab_core.quant.tensor import QuantTensor


@torch.no_grad()
def copy_own(model: Decoder, model_dir: Path, recipe: Recipe | None) -> Iterator[int]:
    """Yields the bytes of each tensor. A matrix of the kind that `recipe` makes is taken as it is, others dense.

    Raises BadInput for a damaged file, and one that does not match config.json.
    """
    file, wanted = model_dir / "model.safetensors", weights(model, stored_as, recipe, one_by_one=True)
    found = load_quantized(file)
    shapes = {name: tuple(held.shape) for name, held in found.items()}
    if shapes != {name: weight.shape for name, weight in wanted.items()}:
        raise BadInput(f"{file}: the weights do not match config.json; install LoRA Lab or copy the model again")
    for name, held in found.items():
        named = wanted[name]
        if not (isinstance(held, QuantTensor) and named.weight.take(held)):
            dense = held.dequantize() if isinstance(held, QuantTensor) else held
            with named.opened(dense.dtype, f"{file}: {name}") as place:
                place.copy_(dense)
        yield held.nbytes
