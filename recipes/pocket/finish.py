"""The trained weights in 4 bits, with everything a model directory needs, where the package ships them."""

import json
import shutil
import sys
from pathlib import Path
from random import Random
from typing import Any, Final

from safetensors.torch import load_file, save_file
from torch import Tensor

from loralab_core.architecture.quantised import OWN, without_quantisation
from loralab_core.catalog.pocket import HELD_OUT, POCKET, SAMPLE_CORPUS
from loralab_core.quant import QuantTensor, load_quantized, quantize, save_quantized
from recipes.pocket.write_text import HELD_OUT_KEPT, SEED

_COPIED = ("generation_config.json", "tokenizer.json", "tokenizer_config.json")
BASE: Final = "nf4"


def write_model(trained: Path, place: Path = POCKET) -> None:
    """In our own form: projections in nf4, the embedding in int8, norms as bf16."""
    _write_config(
        trained, place, {"torch_dtype": "bfloat16", "quantization_config": {"quant_method": OWN, "base": BASE}}
    )
    tensors = load_file(trained / "model.safetensors")
    # at once: an engine may be reading the old one
    save_quantized(place / "model.safetensors", {name: _stored(name, tensor) for name, tensor in tensors.items()})


def _stored(name: str, tensor: Tensor) -> QuantTensor | Tensor:
    if tensor.dim() < 2:
        return tensor.bfloat16()
    return quantize(tensor, "int8" if "embed" in name else BASE, method="fitted")


def write_dense(place: Path, model: Path = POCKET) -> None:
    """The shipped model as float32, for programs that do not read our form: `python -m recipes.pocket.finish PLACE`."""
    _write_config(model, place, {"torch_dtype": "float32"})
    found = load_quantized(model / "model.safetensors")
    dense = {name: held.dequantize() if isinstance(held, QuantTensor) else held.float() for name, held in found.items()}
    save_file(dense, place / "model.safetensors", metadata={"format": "pt"})


def _write_config(model: Path, place: Path, changes: dict[str, Any]) -> None:
    """And what is copied."""
    place.mkdir(parents=True, exist_ok=True)
    config = without_quantisation(json.loads((model / "config.json").read_text(encoding="utf-8"))) | changes
    (place / "config.json").write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")
    for name in _COPIED:
        if model != place:
            shutil.copyfile(model / name, place / name)


def write_corpora(text: Path) -> None:
    """The sample corpus, and a seeded choice of what was held out."""
    shutil.copyfile(text / "sample.jsonl", SAMPLE_CORPUS)
    rows = (text / "held-out.jsonl").read_text(encoding="utf-8").splitlines(keepends=True)
    HELD_OUT.write_text("".join(Random(SEED).sample(rows, HELD_OUT_KEPT)), encoding="utf-8")


if __name__ == "__main__":
    write_dense(Path(sys.argv[1]))
