"""What the box has, and its two ceilings: a large copy, and a large product of 16-bit numbers."""

import os
import platform
from collections.abc import Iterator
from typing import Any

import torch

from benchmarks.gpu.half import half, name_of
from benchmarks.gpu.rows import figure
from benchmarks.gpu.sizes import Sizes
from benchmarks.gpu.timing import race
from benchmarks.parts import Row
from loralab_core.hardware.choice import unusable
from loralab_core.hardware.devices import auto_device
from loralab_core.hardware.nvml import ask_nvml
from loralab_core.hardware.probe import find_cpu, find_torch
from loralab_core.ops.native.nvcc import find_nvcc

TOLD = ("device", "driver", "torch", "cuda", "nvcc", "second cache")


def no_gpu() -> str:
    """Why nothing can be measured here, in a sentence; empty where there is a GPU that torch uses."""
    if torch.cuda.is_available():
        return ""
    choice, nvidia, found = auto_device(), ask_nvml(), find_torch()
    reasons = [why for gpu in nvidia.gpus if (why := unusable(gpu, nvidia, found))] or [*choice.unusable]
    if not reasons and found is not None and found.cuda is None:
        reasons = [f"torch {found.version} was built without CUDA"]
    return "; ".join(dict.fromkeys(reasons)) or (choice.why if choice.device == "cpu" else "torch sees no GPU")


def measure(device: torch.device, sizes: Sizes) -> Iterator[Row]:
    known = facts(device)
    yield {
        "what": "the box",
        "note": ", ".join(f"{name} {known[name]}" for name in TOLD if known.get(name)),
        "facts": known,
    }
    copied = copy(device, sizes.copied)
    side = sizes.ceiling
    a, b = (torch.randn(side, side, device=device, dtype=half(device)) for _ in range(2))
    times = race({"copy": [copied], "product": [lambda: a @ b]}, device, sizes.seconds)
    rate = 2 * side**3 / times["product"].median / 1e6
    copied_per_s = bandwidth(times["copy"].median, sizes.copied)
    yield figure("copy, bytes read and written", copied_per_s, "GB/s", **times["copy"].facts())
    yield figure(f"{side}³ product in {name_of(device)}, random numbers", rate, "TFLOP/s", **times["product"].facts())


def copy(device: torch.device, nbytes: int) -> Any:
    """A call that copies so many bytes from one place of the device to another."""
    source = torch.randint(0, 256, (nbytes,), dtype=torch.uint8, device=device)
    target = torch.empty_like(source)
    return lambda: target.copy_(source)


def bandwidth(microseconds: float, nbytes: int) -> float:
    """GB/s of a copy: every byte is read and written."""
    return 2 * nbytes / microseconds / 1e3


def facts(device: torch.device) -> dict[str, Any]:
    common = {
        "torch": str(torch.__version__),
        "cuda": torch.version.cuda,
        "nvcc": find_nvcc(),
        "python": platform.python_version(),
        "processor": find_cpu().name,
        "threads": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
    }
    if device.type != "cuda":
        return common | {"device": str(device)}
    about = torch.cuda.get_device_properties(device)
    return common | {
        "device": about.name,
        "driver": ask_nvml().driver,
        "capability": f"{about.major}.{about.minor}",
        "multiprocessors": about.multi_processor_count,
        "memory": about.total_memory,
        "second cache": about.L2_cache_size,
        "gpus": [torch.cuda.get_device_name(number) for number in range(torch.cuda.device_count())],
    }
