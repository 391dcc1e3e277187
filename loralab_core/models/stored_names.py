"""Where files of a model differ from what its config.json makes one expect: shorter names, a head of their own."""

from pathlib import Path
from typing import TypeVar

import torch
from torch import Tensor

from loralab_core.errors import BadInput
from loralab_core.models.decoder import Decoder
from loralab_core.quant import QuantTensor, quantize
from loralab_core.safetensors_file import read_tensors, tensor_names

ROWS = 1 << 12  # of a head compared at once


T = TypeVar("T")


def as_stored(wanted: dict[str, T], files: list[Path]) -> dict[str, T]:
    """Under the names of the files: GPT-2's, and others saved without a head, lack the first part of each."""
    stored = {name for file in files for name in tensor_names(file)}
    bare = {_bare(name): place for name, place in wanted.items()}
    return wanted if wanted.keys() <= stored or not bare.keys() <= stored else bare


def _bare(name: str) -> str:
    """ "transformer.wte.weight" → "wte.weight"; a head's name has no such part."""
    return name.partition(".")[2] if name.count(".") > 1 else name


def check_tied(model: Decoder, files: list[Path]) -> None:
    """BadInput for a head of its own beside a config.json that says there is none: training one makes such files."""
    name, ours = f"{model.config.names['head']}.weight", model.embedding.weight
    for file in files:
        for _, head in read_tensors(file, lambda found: found == name):
            if head.is_floating_point() and head.shape == ours.shape and not _equal(head, ours):
                raise BadInput(
                    f"{file}: {name} is not the embedding, though config.json says so; set tie_word_embeddings to "
                    f"false there if this head was trained, or remove the tensor"
                )


def _equal(head: Tensor, ours: Tensor | QuantTensor) -> bool:
    return all(_equal_rows(head[start : start + ROWS], ours, start) for start in range(0, len(head), ROWS))


def _equal_rows(part: Tensor, ours: Tensor | QuantTensor, start: int) -> bool:
    if isinstance(ours, Tensor):
        rows = ours[start : start + ROWS]
        return torch.equal(part.to(rows), rows)
    rounded, held = quantize(part.to(ours.device), ours.kind), ours.rows(start, start + len(part))
    return torch.equal(rounded.codes, held.codes) and torch.equal(rounded.scales, held.scales)
