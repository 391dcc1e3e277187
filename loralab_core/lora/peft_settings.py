"""adapter_config.json as PEFT writes it: what is read of it, and what is refused by name."""

import json
import math
import re
from pathlib import Path
from typing import Annotated, Any, TypeVar

from loralab_core.errors import BadInput, explain_os_error
from loralab_core.lora.adapter import LoraSettings

CONFIG = "adapter_config.json"
T = TypeVar("T", int, float)

OTHER_KINDS = {  # field → what PEFT does where it is set
    "use_dora": "DoRA",
    "modules_to_save": "modules_to_save",
    "lora_bias": "LoRA with a bias of its own (lora_bias)",
    "trainable_token_indices": "LoRA with trained tokens (trainable_token_indices)",
    "alora_invocation_tokens": "aLoRA, which begins behind its invocation tokens",
    "layer_replication": "LoRA on layers that are repeated (layer_replication)",
    "use_qalora": "QALoRA",
    "use_bdlora": "BD-LoRA",
    "arrow_config": "Arrow, which mixes adapters",
    "kasa_config": "KaSA",
    "monteclora_config": "MonteCLoRA",
    "megatron_config": "LoRA on Megatron layers",
    "enable_lora": "LoRA on a part of a fused projection (enable_lora)",
}
BASE_AS_IT_IS = (True, False, None, "gaussian", "eva", "orthogonal")  # init_lora_weights that leave the base alone


def read_settings(directory: Path) -> LoraSettings:
    """What adapter_config.json says. Raises BadInput when it is damaged or of another kind."""
    from msgspec import MsgspecError

    path = directory / CONFIG
    try:
        raw = json.loads(path.read_text(encoding="utf-8"))
        fields = _fields(raw)
        for pattern in {**(fields.rank_pattern or {}), **(fields.alpha_pattern or {})}:
            re.compile(pattern)
    except OSError as error:
        raise BadInput(explain_os_error(error, f"read {path}")) from None
    except (ValueError, RecursionError, MsgspecError, re.error) as error:
        raise BadInput(f"{path} is not a valid PEFT LoRA configuration ({error})") from None
    _refuse_other_kinds(raw, path)
    if not all(map(math.isfinite, (fields.lora_alpha, *(fields.alpha_pattern or {}).values()))):
        raise BadInput(f"{path} is not a valid PEFT LoRA configuration (lora_alpha is no number)")
    targets = fields.target_modules
    return LoraSettings(
        rank=fields.r,
        alpha=fields.lora_alpha,
        targets=(targets,) if isinstance(targets, str) else tuple(targets or ()),
        parameters=tuple(fields.target_parameters or ()),
        dropout=fields.lora_dropout or 0.0,
        rank_stabilised=bool(fields.use_rslora),
        rank_pattern=fields.rank_pattern or {},
        alpha_pattern=fields.alpha_pattern or {},
        base_model=fields.base_model_name_or_path,
    )


def _fields(raw: Any) -> Any:
    """What a LoRA has of `raw`, of the right types. Raises MsgspecError."""
    from msgspec import Meta, Struct, convert

    rank = Annotated[int, Meta(ge=1)]

    class Fields(Struct):
        r: rank
        lora_alpha: float
        target_modules: list[str] | str | None = None
        target_parameters: list[str] | None = None
        lora_dropout: float | None = None
        use_rslora: bool | None = None
        rank_pattern: dict[str, rank] | None = None
        alpha_pattern: dict[str, float] | None = None
        base_model_name_or_path: str | None = None

    return convert(raw, Fields, strict=False)


def _refuse_other_kinds(raw: dict[str, Any], path: Path) -> None:
    if (task := raw.get("task_type")) not in (None, "CAUSAL_LM"):
        raise BadInput(f"{path}: this adapter is for the task {task}, only CAUSAL_LM adapters can be opened")
    kind = next((kind for field, kind in OTHER_KINDS.items() if raw.get(field)), None)
    kind = "bias" if raw.get("bias", "none") != "none" else kind
    kind = str(raw.get("peft_type")) if raw.get("peft_type") != "LORA" else kind
    if kind:
        raise BadInput(f"{path}: adapters of kind {kind} cannot be opened, only plain LoRA")
    if (start := raw.get("init_lora_weights")) not in BASE_AS_IT_IS:
        raise BadInput(
            f"{path}: init_lora_weights = {start!r} changed the base model before training, so this adapter is not for "
            f"the base as it is; save it again with PEFT's path_initial_model_for_weight_conversion"
        )


def patterned(pattern: dict[str, T], path: str, default: T) -> T:
    """Of the first name that fits; as in PEFT, names are regular expressions of the end of the path."""
    return next((value for name, value in pattern.items() if re.match(rf"(.*\.)?({name})$", path)), default)
