"""Quantised models kept on disk: reading one is far faster than making it again from the model's files."""

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import torch
from torch import Tensor

from loralab_core.errors import BadInput, explain_os_error
from loralab_core.models.decoder import Decoder
from loralab_core.models.incoming import Recipe
from loralab_core.models.mlp import ExpertLinear
from loralab_core.models.parts import Matrix
from loralab_core.paths import quantised_dir
from loralab_core.quant.file import Held, load_quantized, save_quantized
from loralab_core.quant.tensor import QuantTensor

SPARE = 2 << 30  # bytes of the disk that are left alone

Progress = Callable[[int, int, str], None]


def cache_file(fingerprint: str, recipe: Recipe, dtype: torch.dtype) -> Path:
    """Where a model of these weights is kept; `dtype` is that of what stays dense."""
    return quantised_dir() / f"{fingerprint[:32]}-{recipe.name}-{str(dtype).removeprefix('torch.')}.safetensors"


def read_cache(model: Decoder, recipe: Recipe, file: Path, progress: Progress) -> str | None:
    """Fill a model whose dense parameters have their memory.

    Returns None when that is done, else why it is not, as words behind "quantising": empty where there is no such file.
    """
    if not file.is_file():
        return ""
    total, done = file.stat().st_size, 0

    def report(size: int) -> None:
        nonlocal done
        done += size
        progress(min(done, total), total, f"reading the model in {recipe.kind}")

    try:
        _put(model, recipe, load_quantized(file, model.device, report), file)
    except BadInput:
        file.unlink(missing_ok=True)
        return "again: what was kept of it on disk was damaged"
    return None


def write_cache(model: Decoder, file: Path) -> str:
    """Returns why it was not kept, or an empty text. Never fills the disk and never fails."""
    held = dict(_held(model))
    size = sum(each.nbytes for each in held.values())
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        if shutil.disk_usage(file.parent).free < size + SPARE:
            return f"not kept on disk for the next time: less than {(size + SPARE) >> 20:,} MiB are free there"
        save_quantized(file, held)
    except OSError as error:
        return f"not kept on disk for the next time: {explain_os_error(error, f'write {file}')}"
    return ""


def _held(model: Decoder) -> Iterator[tuple[str, Held]]:
    """Everything, by name; a tied head is the embedding."""
    yield from model.named_parameters()
    for path, module in _matrices(model):
        for number, matrix in module.quantised().items():
            yield _name(path, module, number), matrix


def _matrices(model: Decoder) -> Iterator[tuple[str, Matrix]]:
    for path, module in model.named_modules():
        if isinstance(module, Matrix) and not (module is model.head and model.config.tied_head):
            yield path, module


def _name(path: str, module: Matrix, number: int) -> str:
    return f"{path}.weight.{number}" if isinstance(module, ExpertLinear) else f"{path}.weight"


def _put(model: Decoder, recipe: Recipe, found: dict[str, Held], file: Path) -> None:
    """All of `found` into the model. BadInput where it is not what the model has."""
    places = {
        _name(path, module, number): (module, number)
        for path, module in _matrices(model)
        if recipe.kind_of(path, module)
        for number in range(module.count if isinstance(module, ExpertLinear) else 1)
    }
    shapes = {name: tuple(module.weight.shape[-2:]) for name, (module, _) in places.items()}
    dense = {name: each.data for name, each in model.named_parameters() if not each.is_meta}
    shapes |= {name: tuple(each.shape) for name, each in dense.items()}
    if {name: tuple(each.shape) for name, each in found.items()} != shapes:
        raise BadInput(f"{file} is of another model")
    for name, held in found.items():
        if isinstance(held, QuantTensor) and name in places:
            module, number = places[name]
            module.hold(held, number)
        elif isinstance(held, Tensor) and name in dense:
            dense[name].copy_(held)
        else:
            raise BadInput(f"{file}: {name} is not as this model has it")
    if model.config.tied_head:
        model.tie_head()
