"""What opens in which form of weights, and what is refused: in the program's own sentences, as it says them."""

import re
from collections.abc import Callable
from typing import Any, get_args

from loralab_core.architecture.families import parse_config
from loralab_core.architecture.gguf_config import ARCHITECTURES
from loralab_core.architecture.quantised import NAMES, Format
from loralab_core.catalog.repository import HubFile, Repository, refuse_unusable
from loralab_core.errors import BadInput
from loralab_core.gguf.types import OTHER_TYPES, TENSOR_TYPES
from tools.models_page.tables import table

LLAMA: dict[str, Any] = {
    "model_type": "llama",
    "vocab_size": 32000,
    "hidden_size": 2048,
    "intermediate_size": 5632,
    "num_hidden_layers": 22,
    "num_attention_heads": 32,
}
BESIDE: dict[Format, str] = {
    "bitsandbytes 4-bit": "NF4 and FP4, nested or not: repositories called …-bnb-4bit",
    "bitsandbytes 8-bit": "INT8 by rows",
    "FP8": "scales of square blocks, as DeepSeek-V3's; one scale a tensor is refused",
    "MLX": "affine, groups of one size; other modes are refused",
    "LoRA Lab": "our own 4-bit and 8-bit form; taken as it is for the same base",
}


def formats() -> str:
    opens = ", ".join(known.name for known in TENSOR_TYPES.values())
    files = ", ".join(f"`{name}`" for name in ARCHITECTURES)
    rows = [
        ["safetensors, one file or shards", "yes", "F32, F16, BF16"],
        [f"GGUF of {opens}", "yes", f"architectures {files}"],
        *([f"{name} safetensors", "yes, made dense", BESIDE[name]] for name in get_args(Format)),
        [", ".join(NAMES.values()), "refused", "the unquantised model, or a bitsandbytes copy"],
        [f"GGUF of {', '.join(OTHER_TYPES.values())}", "refused", f"the model's file in {opens}"],
        ["pickles (`.bin`, `.pt`, `.pth`, `.ckpt`)", "refused", "a safetensors copy of the same repository"],
    ]
    return table(["weights", "opens", "which, or the way round"], rows)


def refusals() -> str:
    """Each is provoked, so that the page says what the program says."""
    return table(["what", "what is said"], [[what, _said(provoke)] for what, provoke in PROVOKED.items()])


def _config(**changes: Any) -> Callable[[], object]:
    return lambda: parse_config(LLAMA | changes, "config.json")


def _repository(*names: str) -> Callable[[], object]:
    files = {name: HubFile(name, 1, "0" * 40) for name in names}
    return lambda: refuse_unusable(Repository("owner/name", None, "0" * 40, files, None, False, False, None))


PROVOKED = {
    "encoder-decoder (T5)": _config(model_type="t5"),
    "an image model around a language model": _config(model_type="idefics3"),
    "Gemma 3 with eyes (its text-only sizes open)": _config(model_type="gemma3"),
    "code of its own": _config(model_type="mystery", auto_map={"AutoModelForCausalLM": "modeling.Mystery"}),
    "latent attention": _config(model_type="deepseek_v2", kv_lora_rank=512),
    "rotary scaling that is not known": _config(rope_scaling={"rope_type": "spiral", "factor": 4.0}),
    "a part that is not there": _config(model_type="phi", qk_layernorm=True),
    "GPTQ and others": _config(quantization_config={"quant_method": "gptq"}, _name_or_path="owner/name"),
    "pickled weights only": _repository("config.json", "pytorch_model.bin"),
    "a repository of GGUF files only": _repository("model-Q4_K_M.gguf"),
    "weights laid out for another program": _repository("config.json", "consolidated.safetensors"),
    "an adapter in place of a model": _repository("adapter_config.json", "adapter_model.safetensors"),
}


def _said(provoke: Callable[[], object]) -> str:
    try:
        provoke()
    except BadInput as error:
        sentence = str(error).removeprefix("config.json: ").replace("|", "\\|")
        return re.sub(r"\(supported: .*\)", "(supported: …)", sentence)
    raise AssertionError("this opens by now: no refusal to be shown")
