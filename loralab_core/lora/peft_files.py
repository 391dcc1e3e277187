"""PEFT adapter directories: adapter_config.json and adapter_model.safetensors, written as PEFT writes them."""

import json
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar

import torch
from safetensors.torch import save_file
from torch import Tensor

from loralab_core.errors import BadInput, explain_os_error
from loralab_core.lora.adapter import Adapter, LoraSettings, Projection, matches, projections
from loralab_core.lora.peft_experts import as_peft_has_it, as_we_have_it, wrapped
from loralab_core.models.decoder import Decoder
from loralab_core.models.loading import read_tensors
from loralab_core.models.parts import Linear
from loralab_core.ops import Lora

CONFIG, WEIGHTS = "adapter_config.json", "adapter_model.safetensors"
T = TypeVar("T", int, float)
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
        a, b = (tensors.pop(name).to(model.device, torch.float32) for name in names)
        layers[path] = _layer(projection, a, b, settings, weights_path)
    if tensors:
        raise BadInput(
            f"{weights_path} is for another model{_made_for(settings)}: tensors have no place here "
            f"({len(tensors)}), for instance {min(tensors)}"
        )
    if not layers:
        raise BadInput(f"{weights_path} holds no adapter weights")
    return Adapter(settings, layers)


def read_settings(directory: Path) -> LoraSettings:
    """What adapter_config.json says. Raises BadInput when it is damaged or of another kind."""
    path = directory / CONFIG
    try:
        raw = json.loads(path.read_text(encoding="utf-8"))
        rank, alpha, targets = int(raw["r"]), float(raw["lora_alpha"]), raw["target_modules"]
    except OSError as error:
        raise BadInput(explain_os_error(error, f"read {path}")) from None
    except (ValueError, KeyError, TypeError) as error:
        raise BadInput(f"{path} is not a valid PEFT LoRA configuration ({error!r})") from None
    if (task := raw.get("task_type")) not in (None, "CAUSAL_LM"):
        raise BadInput(f"{path}: this adapter is for the task {task}, only CAUSAL_LM adapters can be opened")
    kind = raw.get("peft_type")
    if kind != "LORA" or raw.get("use_dora") or raw.get("bias", "none") != "none" or raw.get("modules_to_save"):
        what = "DoRA" if raw.get("use_dora") else "bias" if raw.get("bias", "none") != "none" else kind
        what = "modules_to_save" if raw.get("modules_to_save") else what
        raise BadInput(f"{path}: adapters of kind {what} cannot be opened, only plain LoRA")
    return LoraSettings(
        rank=rank,
        alpha=alpha,
        targets=(targets,) if isinstance(targets, str) else tuple(targets or ()),
        parameters=tuple(raw.get("target_parameters") or ()),
        dropout=float(raw.get("lora_dropout") or 0.0),
        rank_stabilised=bool(raw.get("use_rslora")),
        rank_pattern=raw.get("rank_pattern") or {},
        alpha_pattern=raw.get("alpha_pattern") or {},
        base_model=raw.get("base_model_name_or_path"),
    )


def _adapted(model: Decoder, settings: LoraSettings, tensors: dict[str, Tensor]) -> dict[str, Projection]:
    """What the file may hold: of experts, only what the settings name, for the file does not."""
    every = {one.path: one for one in projections(model.layers)}
    named = [path for path in every if any(matches(path, name) for name in settings.parameters)]
    return {path: one for path, one in every.items() if isinstance(one, Linear) or path in named}


def _layer(projection: Projection, a: Tensor, b: Tensor, settings: LoraSettings, file: Path) -> Lora:
    path = projection.path
    rank = _patterned(settings.rank_pattern, path, settings.rank)
    alpha = _patterned(settings.alpha_pattern, path, settings.alpha)
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


def _patterned(pattern: dict[str, T], path: str, default: T) -> T:
    return next((value for name, value in pattern.items() if matches(path, name)), default)
