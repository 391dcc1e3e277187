"""Where files of a model differ from what its config.json makes one expect: shorter names, a head of their own."""

from pathlib import Path

import torch
from torch import Tensor

from loralab_core.errors import BadInput
from loralab_core.models.decoder import Decoder
from loralab_core.models.safetensors_file import read_tensors, tensor_names

ROWS = 1 << 12  # of a head compared at once


def as_stored(wanted: dict[str, Tensor], files: list[Path]) -> dict[str, Tensor]:
    """Under the names of the files: GPT-2's, and others saved without a head, lack the first part of each."""
    stored = {name for file in files for name in tensor_names(file)}
    bare = {_bare(name): place for name, place in wanted.items()}
    return wanted if wanted.keys() <= stored or not bare.keys() <= stored else bare


def _bare(name: str) -> str:
    """ "transformer.wte.weight" → "wte.weight"; a head's name has no such part."""
    return name.partition(".")[2] if name.count(".") > 1 else name


def check_tied(model: Decoder, files: list[Path]) -> None:
    """BadInput for a head of its own beside a config.json that says there is none: training one makes such files."""
    name, ours = f"{model.config.names['head']}.weight", model.head.weight
    for file in files:
        for _, head in read_tensors(file, lambda found: found == name):
            if head.is_floating_point() and head.shape == ours.shape and not _equal(head, ours):
                raise BadInput(
                    f"{file}: {name} is not the embedding, though config.json says so; set tie_word_embeddings to "
                    f"false there if this head was trained, or remove the tensor"
                )


def _equal(head: Tensor, ours: Tensor) -> bool:
    pairs = zip(torch.split(head, ROWS), torch.split(ours, ROWS), strict=True)
    return all(torch.equal(part.to(rows), rows) for part, rows in pairs)
