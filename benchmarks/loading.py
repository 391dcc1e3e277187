"""A model directory opened: seconds beside plain reading of its bytes into fresh memory, and peak memory.

    python benchmarks/loading.py --config FILE.json [--rounds 5] [--transformers] [--out FILE.json]

Writes random bf16 weights of that configuration below a temporary directory. Every figure comes from a process of its
own; plain reading and opening take turns, once with the file in the system's cache and once dropped from it.
`--transformers` opens it with that library too.
"""

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import psutil
from report import command_line, machine, publish

FILE = "model.safetensors"


def main() -> None:
    parser = command_line(__doc__)
    parser.add_argument("--config", type=Path, required=True, help="a model's config.json")
    parser.add_argument("--once", nargs=2, metavar=("WAY", "DIR"), help="one measurement in this process")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--transformers", action="store_true")
    arguments = parser.parse_args()
    if arguments.once:
        print(json.dumps(measure_here(arguments.once[0], Path(arguments.once[1]))))
        return
    with tempfile.TemporaryDirectory() as directory:
        shutil.copyfile(arguments.config, Path(directory) / "config.json")
        largest = write_weights(Path(directory))
        report = measure(arguments, Path(directory), largest)
    publish(report, arguments.out)


def write_weights(directory: Path) -> int:
    """Returns the bytes of the largest tensor."""
    import torch
    from safetensors.torch import save_file

    from loralab_core.architecture.families import read_config
    from loralab_core.models.decoder import Decoder
    from loralab_core.models.naming import checkpoint_tensors

    with torch.device("meta"):
        model = Decoder(read_config(directory))
    shapes = {name: tensor.shape for name, tensor in checkpoint_tensors(model).items()}
    save_file({name: torch.randn(shape).mul_(0.02).bfloat16() for name, shape in shapes.items()}, directory / FILE)
    return max(2 * shape.numel() for shape in shapes.values())


def measure(arguments: argparse.Namespace, directory: Path, largest: int) -> dict[str, object]:
    size = (directory / FILE).stat().st_size
    ways = ["reading", "ours", *(["transformers"] if arguments.transformers else [])]
    report: dict[str, object] = {
        "machine": machine(),
        "model": arguments.config.stem,
        "file_bytes": size,
        "largest_tensor_bytes": largest,
    }
    for cached in (True, False):
        rounds = [{way: once(way, directory, cached) for way in ways} for _ in range(arguments.rounds)]
        report["cached" if cached else "from disk"] = {way: summary([each[way] for each in rounds]) for way in ways}
    return report


def once(way: str, directory: Path, cached: bool) -> dict[str, float]:
    with open(directory / FILE, "rb") as file:
        os.fsync(file.fileno())
        if cached:
            while file.read(1 << 24):
                pass
        else:
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
    command = [sys.executable, __file__, "--config", str(directory / "config.json"), "--once", way, str(directory)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    figures: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return figures


def measure_here(way: str, directory: Path) -> dict[str, float]:
    """Imports are not counted: a program has them anyway."""
    opened = {"reading": read, "ours": load, "transformers": from_pretrained}[way](directory)
    before, began = psutil.Process().memory_info().rss, time.perf_counter()
    kept = opened()
    seconds = time.perf_counter() - began
    grown = peak_resident() - before
    del kept
    return {"seconds": seconds, "grown_bytes": grown}


def peak_resident() -> int:
    """Of this process alone: getrusage also counts what its parent had when it started this one."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM"))


def read(directory: Path) -> Callable[[], object]:
    import torch

    def read_all() -> object:
        kept = torch.empty((directory / FILE).stat().st_size, dtype=torch.uint8)
        left = kept.numpy().data
        with open(directory / FILE, "rb", buffering=0) as file:
            while left:
                left = left[file.readinto(left[: 1 << 30]) :]
        return kept

    return read_all


def load(directory: Path) -> Callable[[], object]:
    import torch

    from loralab_core.models.loading import load_decoder

    return lambda: load_decoder(directory, "bf16", torch.device("cpu"))


def from_pretrained(directory: Path) -> Callable[[], object]:
    import torch
    from transformers import AutoModelForCausalLM

    return lambda: AutoModelForCausalLM.from_pretrained(directory, dtype=torch.bfloat16)


def summary(figures: list[dict[str, float]]) -> dict[str, object]:
    return {
        "seconds": [round(each["seconds"], 3) for each in figures],
        "seconds_median": round(statistics.median(each["seconds"] for each in figures), 3),
        "grown_bytes_at_most": max(each["grown_bytes"] for each in figures),
    }


if __name__ == "__main__":
    main()
