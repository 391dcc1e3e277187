"""PEFT adapter directories: adapter_config.json and adapter_model.safetensors, written as PEFT writes them."""

import json
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from safetensors.torch import save_file
from torch import Tensor

from loralab_core.errors import BadInput
from loralab_core.lora.adapter import Adapter, LoraSettings, Projection, matches, named_by_peft, projections
from loralab_core.lora.peft_experts import as_peft_has_it, as_we_have_it, wrapped
from loralab_core.lora.peft_settings import CONFIG, patterned, read_settings
from loralab_core.models.decoder import Decoder
from loralab_core.models.parts import Linear
from loralab_core.ops import Lora
from loralab_core.safetensors_file import read_tensors

WEIGHTS = "adapter_model.safetensors"
PREFIX = "base_model.model."


def save_adapter(adapter: Adapter, directory: Path, base_model: str, transposed: bool = False) -> None:
    """Write the two files; `transposed`: the base stores its projections as [in, out].

    Raises OSError (no space, read-only); the caller makes the directory appear atomically.
    """
    directory.mkdir(parents=True, exist_ok=True)
    tensors = {}
    for path, lora in adapter.layers.items():
        place = wrapped(path, adapter.layers)
        for half, tensor in zip("AB", as_peft_has_it(lora.a, lora.b), strict=True):
            tensors[f"{PREFIX}{place}.lora_{half}.weight"] = tensor.detach().float().cpu().contiguous()
    save_file(tensors, directory / WEIGHTS, metadata={"format": "pt"})
    settings = json.dumps(_config_json(adapter.settings, base_model, transposed), indent=2, sort_keys=True)
    (directory / CONFIG).write_text(settings + "\n", encoding="utf-8")


def _config_json(settings: LoraSettings, base_model: str, transposed: bool) -> dict[str, Any]:
    return {
        "peft_type": "LORA",
        "task_type": "CAUSAL_LM",
        "base_model_name_or_path": base_model,
        "inference_mode": True,
        "r": settings.rank,
        "lora_alpha": int(settings.alpha) if settings.alpha == int(settings.alpha) else settings.alpha,
        "lora_dropout": 0.0 if settings.parameters else settings.dropout,  # PEFT refuses any for experts
        "target_modules": sorted(settings.targets),
        "target_parameters": sorted(settings.parameters) or None,
        "use_rslora": settings.rank_stabilised,
        "rank_pattern": settings.rank_pattern,
        "alpha_pattern": settings.alpha_pattern,
        "bias": "none",
        "fan_in_fan_out": transposed,
        "init_lora_weights": True,
        "modules_to_save": None,
        "layers_to_transform": None,
        "layers_pattern": None,
    }


def load_adapter(model: Decoder, directory: Path) -> Adapter:
    """Read a PEFT directory onto `model`. Raises BadInput when it is damaged, of another kind, or for another model."""
    config_path, weights_path = directory / CONFIG, directory / WEIGHTS
    if not config_path.is_file():
        raise BadInput(f"{directory} has no {CONFIG}, so it is not a PEFT adapter directory")
    if not weights_path.is_file():
        raise BadInput(f"{directory} has no {WEIGHTS}; pickled adapters (adapter_model.bin) are never opened")
    settings = read_settings(directory)
    tensors = dict(read_tensors(weights_path))
    layers = {}
    adapted = _adapted(model, settings, tensors)
    for path, projection in adapted.items():
        names = [f"{PREFIX}{wrapped(path, adapted)}.lora_{half}.weight" for half in "AB"]
        if not any(name in tensors for name in names):
            continue
        if not all(name in tensors for name in names):
            raise BadInput(f"{weights_path} has only one of the two matrices of {path}; it is damaged")
        halves = [tensors.pop(name).float() for name in names]
        if not all(half.isfinite().all() for half in halves):
            raise BadInput(f"{weights_path}: {path} has values that are no numbers; its training diverged, or damage")
        a, b = (half.to(model.device) for half in halves)
        layers[path] = _layer(projection, a, b, settings, weights_path)
    if tensors:
        raise _left_over(model, settings, tensors, weights_path)
    if not layers:
        raise BadInput(f"{weights_path} holds no adapter weights")
    # what the file names may be a pattern or "all-linear"; what it holds are these
    targets, parameters = named_by_peft({path: adapted[path] for path in layers})
    return Adapter(replace(settings, targets=targets, parameters=parameters), layers)


def _left_over(model: Decoder, settings: LoraSettings, tensors: dict[str, Tensor], file: Path) -> BadInput:
    ends = {f"{PREFIX}{model.config.names[end]}.": end for end in ("embedding", "head")}
    for name in sorted(tensors):
        if end := next((end for start, end in ends.items() if name.startswith(start)), None):
            return BadInput(
                f"{file} has trained weights of the {end} too ({name}), which adapters do not have here; merge it into "
                f"its base with PEFT and open the result as a model"
            )
    return BadInput(
        f"{file} is for another model{_made_for(settings)}: tensors have no place here "
        f"({len(tensors)}), for instance {min(tensors)}"
    )


def _adapted(model: Decoder, settings: LoraSettings, tensors: dict[str, Tensor]) -> dict[str, Projection]:
    """What the file may hold: of experts, only what the settings name, for the file does not."""
    every = {one.path: one for one in projections(model.layers)}
    named = [path for path in every if any(matches(path, name) for name in settings.parameters)]
    return {path: one for path, one in every.items() if isinstance(one, Linear) or path in named}


def _layer(projection: Projection, a: Tensor, b: Tensor, settings: LoraSettings, file: Path) -> Lora:
    path = projection.path
    rank = patterned(settings.rank_pattern, path, settings.rank)
    alpha = patterned(settings.alpha_pattern, path, settings.alpha)
    with suppress(RuntimeError):  # where the sizes cannot even be shared among experts: told below
        a, b = as_we_have_it(a, b, projection)
    wanted = projection.adapter_shapes(rank)
    if (a.shape, b.shape) != wanted:
        raise BadInput(
            f"{file} is for another model{_made_for(settings)}: {path} has A {list(a.shape)} and "
            f"B {list(b.shape)}, this model and rank need {list(wanted[0])} and {list(wanted[1])}"
        )
    dropout = settings.dropout if isinstance(projection, Linear) else 0.0
    return Lora(a, b, settings.scale(rank, alpha), dropout)


def _made_for(settings: LoraSettings) -> str:
    return f" ({settings.base_model})" if settings.base_model else ""
