"""Weights from a Hugging Face directory or a GGUF file into a Decoder, one tensor at a time.

Each tensor is read straight into its place in the wanted dtype, so peak memory is the result and one slab. Nothing
is ever unpickled.
"""

import hashlib
import json
from collections.abc import Callable, Container, Iterator
from pathlib import Path

import torch
from torch import Tensor

from loralab_core.architecture.counts import parameter_count
from loralab_core.architecture.families import read_config, read_raw_config, stored_base
from loralab_core.architecture.quantised import Quantised, quantised
from loralab_core.errors import BadInput, explain_os_error
from loralab_core.gguf import is_gguf
from loralab_core.hardware.devices import auto_base, half_of, may_have_kernels
from loralab_core.models.decoder import Decoder
from loralab_core.models.fp16_range import stays_in_range
from loralab_core.models.gguf_weights import copy_gguf
from loralab_core.models.incoming import Recipe, weights
from loralab_core.models.naming import stored_as
from loralab_core.models.own_file import copy_own
from loralab_core.models.quantised_cache import cache_file, read_cache, write_cache
from loralab_core.models.stored_names import as_stored, check_tied
from loralab_core.ops.native.build import find_built
from loralab_core.ops.native.gpu import native_gpu
from loralab_core.ops.native.library import native
from loralab_core.quant import dequantise, split_part
from loralab_core.quant.parts import Parts
from loralab_core.safetensors_file import StoredTensor, read_tensors, stored_tensors

Progress = Callable[[int, int, str], None]  # bytes done, bytes in all, what

SAMPLES, BLOCK = 64, 1 << 15  # of a weight file, for its fingerprint
DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
PREPARING = "preparing the kernels; the first time takes half a minute"
DENSE = (torch.float32, torch.bfloat16, torch.float16, torch.float64)  # a bare float8 would be off by its scale


def load_decoder(source: Path, base: str, device: torch.device, progress: Progress | None = None) -> Decoder:
    """A frozen Decoder on `device`. `source`: a model directory or GGUF file.

    base: "fp32", "bf16", "fp16", or quantised "nf4", "int4", "int8", where embedding and head are INT8 and what stays
    dense is in the precision that the device computes in; "nf4-fitted", "int4-fitted": with scales of the least squared
    error, which takes longer. Raises BadInput for a missing shard, a damaged file, weights that do not match
    config.json, and a model that fp16 is too narrow for.
    """
    config = read_config(source)
    with torch.device("meta"):
        model = Decoder(config)
    if device.type == "cuda":  # its norms, gates and loss have kernels whatever the base is
        native_gpu(device.index or 0, compiling=(lambda what: progress(0, 1, what)) if progress else None)
    if base in DTYPES:
        place(model, DTYPES[base], device)
        fill_decoder(model, source, progress)
    else:
        dtype = DTYPES[auto_base(parameter_count(config), half_of(str(device)))]
        _quantised(model, source, Recipe.of(base), dtype, device, progress)
        model.merge()
    if model.dtype == torch.float16 and not stays_in_range(model):
        if base in DTYPES:
            raise BadInput(f"{source}: its activations go beyond 65504, where fp16 ends; use --base fp32, or nf4")
        model.float()  # norms and biases alone: the rest is quantised
        if progress:
            progress(1, 1, f"computing in fp32: activations of {source.name} go beyond 65504, where fp16 ends")
    return model.eval()


def _quantised(
    model: Decoder, source: Path, recipe: Recipe, dtype: torch.dtype, device: torch.device, progress: Progress | None
) -> None:
    """From what was kept on disk the last time, or made now and kept."""
    place(model, dtype, device, recipe)
    if device.type == "cpu":
        if progress and may_have_kernels() and not find_built():
            progress(0, 1, PREPARING)
        native()  # the first time they are compiled: half a minute, which an engine that reads beside its work can wait
    if stored_base(source) == recipe.kind:
        return fill_decoder(model, source, progress, recipe, f"reading the model in {recipe.kind}")
    tell, file = progress or (lambda done, total, what: None), cache_file(fingerprint(source), recipe, dtype)
    if (why := read_cache(model, recipe, file, tell)) is None:
        tell(1, 1, "ready")
        return
    fill_decoder(model, source, progress, recipe, f"quantising the model to {recipe.kind} {why}".rstrip())
    if why := write_cache(model, file):
        tell(1, 1, f"the model in {recipe.kind} was {why}")


def place(model: Decoder, dtype: torch.dtype, device: torch.device, recipe: Recipe | None = None) -> None:
    """Give every parameter memory that will not be quantised.

    Module.to_empty does the same and imports torch's symbolic shapes for it: 0.4 s.
    """
    for path, module in model.named_modules():
        for name, parameter in tuple(module.named_parameters(recurse=False)):
            if name == "weight" and recipe and recipe.kind_of(path, module):
                continue
            empty = torch.empty(parameter.shape, dtype=dtype, device=device)
            module.register_parameter(name, torch.nn.Parameter(empty, requires_grad=False))
    if model.config.tied_head:
        model.tie_head()  # each was given its own memory


def fill_decoder(
    model: Decoder,
    source: Path,
    progress: Progress | None = None,
    recipe: Recipe | None = None,
    what: str = "reading the model",
) -> None:
    """Copy the weights of a directory or GGUF file into a model of the same config. Raises as load_decoder does."""
    total, done = sum(file.stat().st_size for file in weight_files(source)), 0
    if progress:
        progress(0, total, what)
    for size in _copier(source)(model, source, recipe):
        done += size
        if progress:
            progress(min(done, total), total, what)
    if model.config.tied_head:
        model.tie_head()
    if progress:
        progress(total, total, "ready")


def _copier(source: Path) -> Callable[[Decoder, Path, Recipe | None], Iterator[int]]:
    if is_gguf(source):
        return copy_gguf
    return copy_own if stored_base(source) else _copy_safetensors


@torch.no_grad()
def _copy_safetensors(model: Decoder, model_dir: Path, recipe: Recipe | None) -> Iterator[int]:
    """Yields the bytes of each tensor."""
    files = weight_files(model_dir)
    wanted = as_stored(weights(model, stored_as, recipe, one_by_one=True), files)
    found: set[str] = set()
    stored = quantised(read_raw_config(model_dir), str(model_dir / "config.json"))
    parts = _parts(files, stored, wanted) if stored else {}
    for file in files:
        for tensor in stored_tensors(file):
            if (name := tensor.name) not in wanted:
                continue
            weight = wanted[name]
            if stored and (name in parts or tensor.dtype not in DENSE):
                dense = dequantise(tensor.read(), parts.get(name, {}), stored, f"{file}: {name}")
                # quantised projections are [out, in], also where the family's dense files have [in, out]
                dense = dense.t() if model.config.transposed else dense
                _check(dense, weight.shape, name, file)
                with weight.opened(dense.dtype, f"{file}: {name}") as place:
                    place.copy_(dense)
            else:
                _check(tensor, weight.shape, name, file)
                with weight.opened(tensor.dtype, f"{file}: {name}") as place:
                    tensor.read_into(place)
            found.add(name)
            yield tensor.size
    if missing := sorted(set(wanted) - found):
        raise BadInput(
            f"{model_dir}: the weights do not match config.json, tensors are missing ({len(missing)}), "
            f"for instance {missing[0]}; download the model again"
        )
    if model.config.tied_head:
        check_tied(model, files)


def _parts(files: list[Path], stored: Quantised, wanted: Container[str]) -> dict[str, Parts]:
    """What lies beside each quantised weight, maybe in another file than the weight. Mapped, so nothing is read yet."""
    found: dict[str, Parts] = {}
    for file in files:
        for name, tensor in read_tensors(file, lambda name: split_part(name, stored) is not None):
            if (split := split_part(name, stored)) and split[0] in wanted:
                found.setdefault(split[0], {})[split[1]] = tensor
    return found


def _check(tensor: Tensor | StoredTensor, wanted: tuple[int, ...], name: str, file: Path) -> None:
    if tensor.dtype not in DENSE:
        raise BadInput(
            f"{file}: {name} is stored as {tensor.dtype}, in a quantised form that config.json does not announce; "
            f"use the unquantised model"
        )
    if tuple(tensor.shape) != tuple(wanted):
        raise BadInput(
            f"{file}: {name} has shape {list(tensor.shape)} but config.json asks for {list(wanted)}; "
            f"the two do not belong together, download the model again"
        )


def weight_files(model_dir: Path) -> list[Path]:
    """The safetensors files of a model, by the index where it is split, or the GGUF file that it is.

    Raises BadInput when one is missing.
    """
    if is_gguf(model_dir):
        return [model_dir]
    single, index = model_dir / "model.safetensors", model_dir / "model.safetensors.index.json"
    if single.is_file():
        return [single]
    if index.is_file():
        try:
            names = sorted(set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values()))
        except (ValueError, KeyError, TypeError, AttributeError):
            raise BadInput(f"{index} is not a valid safetensors index; download it again") from None
        for name in names:
            if not isinstance(name, str) or Path(name).name != name:
                raise BadInput(f"{index} names a file outside the model directory: {name!r}")
            if not (model_dir / name).is_file():
                raise BadInput(f"{model_dir / name} is missing (listed in {index.name}); download the model again")
        return [model_dir / name for name in names]
    if any(model_dir.glob("*.bin")) or any(model_dir.glob("*.pt*")):
        raise BadInput(f"{model_dir} has only pickled weights, which are never opened; use a safetensors copy")
    raise BadInput(
        f"{model_dir} has no model.safetensors and no model.safetensors.index.json; download the model again"
    )


def fingerprint(source: Path) -> str:
    """Which weights these are, cheaply: sha256 hex of config.json, where there is one, and of samples of every file.

    Tuned weights have the size and the header of their base but differ nearly everywhere, so samples tell them apart.
    Raises BadInput when a file is not there.
    """
    try:
        digest = hashlib.sha256(b"" if is_gguf(source) else (source / "config.json").read_bytes())
        for file in weight_files(source):
            _sample(file, digest.update)
    except OSError as error:
        raise BadInput(explain_os_error(error, f"read the model in {source}")) from None
    return digest.hexdigest()


def _sample(file: Path, take: Callable[[bytes], None]) -> None:
    """The size and SAMPLES evenly spaced blocks: the first, the last, and all of a file that is smaller than them."""
    size = file.stat().st_size
    take(f"{file.name} {size} ".encode())
    last = max(0, size - BLOCK)
    with open(file, "rb") as opened:
        for number in range(SAMPLES):
            opened.seek(last * number // (SAMPLES - 1))
            take(opened.read(BLOCK))
