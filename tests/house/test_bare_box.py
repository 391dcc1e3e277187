"""A GPU box as such boxes are: torch and what comes with it, but nothing that would have to be installed."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
ABSENT = ("msgspec", "platformdirs", "textual", "textual_plotext", "bitsandbytes", "huggingface_hub", "transformers")
ROOMS = ("architecture", "quant", "ops", "ops/native", "optim", "models", "lora", "inference")
NEEDS_MORE = {"loralab_core.quant.bitsandbytes_4bit", "loralab_core.ops.native.__main__"}
BARE = f"""
import sys
class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {ABSENT}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)
sys.meta_path.insert(0, Absent())
"""
TRAINED = """
import torch
from benchmarks.gpu.models import random_model
from benchmarks.gpu.sizes import TINY
from benchmarks.gpu.training import make_step
from loralab_core.inference.reader import Reader
lm = random_model(TINY.config("tiny"), "nf4", torch.device("cpu"))
step = make_step(lm, TINY)
print([step() for _ in range(2)])
reader = Reader(lm, [[1, 2, 3]])
reader.add([int(reader.logits().argmax())])
print(reader.logits().shape)
"""


def modules() -> list[str]:
    files = [file for room in ROOMS for file in sorted((ROOT / "loralab_core" / room).glob("*.py"))]
    files.append(ROOT / "loralab_core/training/trainer.py")
    names = [".".join(file.relative_to(ROOT).with_suffix("").parts) for file in files]
    return [name.removesuffix(".__init__") for name in names if name not in NEEDS_MORE]


def run(statements: str, home: Path) -> str:
    environment = os.environ | {"LORALAB_HOME": str(home), "LORALAB_NATIVE": "0"}
    command = [sys.executable, "-c", BARE + statements]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, env=environment, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_all_of_it_is_imported_and_a_model_quantised_trained_and_read_without_what_is_not_there(tmp_path: Path) -> None:
    imported = "\n".join(f"import {name}" for name in modules())
    losses, shape = run(imported + TRAINED, tmp_path).splitlines()
    assert len(losses.split(",")) == 2 and "nan" not in losses
    assert shape.startswith("torch.Size([1, ")


def test_a_model_directory_is_read_and_kept_in_4_bits_without_what_is_not_there(
    tmp_path: Path, fixtures_dir: Path
) -> None:
    model = fixtures_dir / "models" / "stories260K"
    if not model.is_dir():
        pytest.skip(f"needs {model}")
    statements = f"""
import torch
from pathlib import Path
from loralab_core.models import load_decoder
ids, cpu = torch.arange(1, 9)[None], torch.device("cpu")
first, second = (load_decoder(Path({str(model)!r}), "nf4", cpu)(ids) for _ in range(2))
assert torch.equal(first, second)
"""
    run(statements, tmp_path)
    assert list((tmp_path / "cache" / "quantised").glob("*.safetensors"))
