"""The trained weights rounded to bf16, with everything a model directory needs, where the package ships them."""

import json
import shutil
from pathlib import Path
from random import Random

from safetensors.torch import load_file, save_file

from loralab_core.catalog.pocket import HELD_OUT, POCKET, SAMPLE_CORPUS
from recipes.pocket.write_text import HELD_OUT_KEPT, SEED

_COPIED = ("generation_config.json", "tokenizer.json", "tokenizer_config.json")


def write_model(trained: Path, place: Path = POCKET) -> None:
    place.mkdir(parents=True, exist_ok=True)
    config = json.loads((trained / "config.json").read_text(encoding="utf-8"))
    config["torch_dtype"] = "bfloat16"
    (place / "config.json").write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")
    for name in _COPIED:
        shutil.copyfile(trained / name, place / name)
    rounded = {name: tensor.bfloat16() for name, tensor in load_file(trained / "model.safetensors").items()}
    fresh = place / "model.safetensors.new"
    save_file(rounded, fresh, metadata={"format": "pt"})
    fresh.chmod(0o644)  # the library writes for the owner alone
    fresh.replace(place / "model.safetensors")  # at once: an engine may be reading the old one


def write_corpora(text: Path) -> None:
    """The sample corpus, and a seeded choice of what was held out."""
    shutil.copyfile(text / "sample.jsonl", SAMPLE_CORPUS)
    rows = (text / "held-out.jsonl").read_text(encoding="utf-8").splitlines(keepends=True)
    HELD_OUT.write_text("".join(Random(SEED).sample(rows, HELD_OUT_KEPT)), encoding="utf-8")
