"""What this computer has: processor, memory, accelerators. Read from the system, never through torch."""

import importlib.util
import os
import platform
import re
from dataclasses import dataclass
from pathlib import Path

from loralab_core.hardware.memory import Memory, cpu_quota, find_memory, read_text
from loralab_core.hardware.nvml import Gpu, Nvidia, ask_nvml

# Instruction sets that decide which kernel runs, in the names Linux gives them.
KNOWN_ISA = (
    "avx2", "fma", "f16c", "avx512f", "avx512bw", "avx512_vnni", "avx512_bf16", "avx_vnni",
    "amx_tile", "amx_bf16", "amx_int8", "neon", "asimd", "asimddp", "bf16", "i8mm", "sve",
)  # fmt: skip


@dataclass(frozen=True)
class Cpu:
    name: str
    cores: int  # physical ones this process may use
    threads: int  # logical ones this process may use
    isa: tuple[str, ...]


@dataclass(frozen=True)
class Torch:
    """The installed torch, from its files."""

    version: str
    cuda: str | None  # the CUDA it was built for


@dataclass(frozen=True)
class Hardware:
    cpu: Cpu
    memory: Memory
    gpus: tuple[Gpu, ...]
    apple_silicon: bool
    torch: Torch | None
    nvidia: Nvidia


def survey() -> Hardware:
    """Everything at once. Takes some milliseconds; a GPU's driver may take longer when nobody else uses it."""
    nvidia = ask_nvml()
    return Hardware(find_cpu(), find_memory(), nvidia.gpus, is_apple_silicon(), find_torch(), nvidia)


def find_cpu() -> Cpu:
    import psutil

    info = read_text("/proc/cpuinfo")
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else (os.cpu_count() or 1)
    threads = min(allowed, cpu_quota() or allowed)
    cores = min(threads, psutil.cpu_count(logical=False) or threads)
    return Cpu(cpu_name(info), cores, threads, cpu_isa(info))


def cpu_name(cpuinfo: str) -> str:
    match = re.search(r"^model name\s*:\s*(.+)$", cpuinfo, re.MULTILINE)
    return match[1].strip() if match else platform.processor() or platform.machine()


def cpu_isa(cpuinfo: str) -> tuple[str, ...]:
    """The known instruction sets in `cpuinfo`; on Apple silicon, which has no such file, the ones all of them have."""
    match = re.search(r"^(?:flags|Features)\s*:\s*(.+)$", cpuinfo, re.MULTILINE)
    if match is None:
        return ("neon",) if platform.machine() == "arm64" else ()
    flags = set(match[1].split())
    return tuple(flag for flag in KNOWN_ISA if flag in flags)


def find_gpus() -> tuple[Gpu, ...]:
    """NVIDIA devices by NVML; empty where there is no driver."""
    return ask_nvml().gpus


def is_apple_silicon() -> bool:
    return platform.system() == "Darwin" and platform.machine() == "arm64"


def find_torch() -> Torch | None:
    """The installed torch by its version file; None if there is none."""
    spec = importlib.util.find_spec("torch")  # finds the package without importing it
    if spec is None or spec.origin is None:
        return None
    return torch_version(read_text(Path(spec.origin).with_name("version.py")))


def torch_version(text: str) -> Torch | None:
    """What torch/version.py says, e.g. `__version__ = '2.13.0+cpu'` and `cuda: Optional[str] = None`."""
    version = re.search(r"^__version__\s*=\s*['\"]([^'\"]+)", text, re.MULTILINE)
    cuda = re.search(r"^cuda\b[^=\n]*=\s*['\"]([^'\"]+)", text, re.MULTILINE)
    return Torch(version[1], cuda[1] if cuda else None) if version else None
