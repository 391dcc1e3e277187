"""Which device and which number format a run gets where the user leaves it to us."""

import os
import re
import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Literal

from loralab_core.errors import BadInput
from loralab_core.hardware.choice import Choice, choose, unusable
from loralab_core.hardware.nvml import Gpu, ask_nvml
from loralab_core.hardware.probe import find_cpu, find_gpus, find_torch, is_apple_silicon

BF16_CPU = frozenset({"avx512_bf16", "amx_bf16", "bf16"})
BF16_CAPABILITY = (8, 0)
FP16_CAPABILITY = (7, 0)  # tensor cores, but for fp16 alone
COMPILERS = ("c++", "g++", "clang++")
WORTH_HALF = 50_000_000  # parameters; below, conversions cost more than the smaller numbers save

Half = Literal["bf16", "fp16"]


def resolve_device(asked: str = "auto") -> str:
    """ "cpu", "cuda:N" or "mps". BadInput, with the reason, for one that is not here."""
    if asked == "cpu":
        return "cpu"
    if asked == "mps":
        if not is_apple_silicon():
            raise BadInput("--device mps needs a Mac with Apple silicon; use --device cpu or cuda")
        return "mps"
    if asked == "auto":
        return auto_device().device
    match = re.fullmatch(r"cuda(?::(\d+))?", asked)
    if match is None:
        raise BadInput(f"no device is called {asked!r}; use auto, cpu, cuda, cuda:N or mps")
    index = int(match[1] or 0)
    _check_cuda(index)
    return f"cuda:{index}"


def auto_device() -> Choice:
    """What `--device auto` means here."""
    nvidia = ask_nvml()
    gpus = select_visible(nvidia.gpus, os.environ.get("CUDA_VISIBLE_DEVICES"))
    return choose(gpus, nvidia, find_torch(), is_apple_silicon())


def visible_gpus() -> tuple[Gpu, ...]:
    """The devices as torch will number them: CUDA_VISIBLE_DEVICES selects and orders.

    CUDA itself would put the fastest first; `loralab_core.lora.load` has it count as the driver does.
    """
    return select_visible(find_gpus(), os.environ.get("CUDA_VISIBLE_DEVICES"))


def select_visible(gpus: tuple[Gpu, ...], selection: str | None) -> tuple[Gpu, ...]:
    """Ends at the first entry that names no device, as CUDA does.

    Where one in MIG mode is among them, a process sees its first instance and nothing else (NVIDIA, MIG User Guide,
    "Device Enumeration").
    """
    divided = any(gpu.parts for gpu in gpus)
    if selection is None or ("MIG" in selection and not divided):  # instances that NVML does not list: all stay
        chosen = gpus
    else:
        chosen = tuple(_until_none(_named(gpus, entry.strip()) for entry in selection.split(",")))
    instances = [part for gpu in chosen for part in (gpu.parts or ((gpu,) if gpu.instances else ()))]
    return (instances[0],) if instances else chosen


def _until_none(found: Iterable[Gpu | None]) -> Iterator[Gpu]:
    for gpu in found:
        if gpu is None:
            return
        yield gpu


def _named(gpus: tuple[Gpu, ...], entry: str) -> Gpu | None:
    """By number, by the beginning of a UUID where that is one device's alone, or "MIG-GPU-…/1/0" of old drivers."""
    if entry.isdecimal():
        return gpus[int(entry)] if int(entry) < len(gpus) else None
    if entry.startswith("MIG"):
        parts = [(part, gpu.uuid) for gpu in gpus for part in gpu.parts or ()]
        alike = [part for part, of in parts if entry in (part.uuid, f"MIG-{of}/{part.instances}")]
        alike = alike or [part for part, _ in parts if part.uuid.startswith(entry)]
    else:
        alike = [gpu for gpu in gpus if entry and gpu.uuid.startswith(entry)]
    return alike[0] if len(alike) == 1 else None


def resolve_base(asked: str, device: str, parameters: int, stored: str | None = None, full: bool = False) -> str:
    """The base as asked, or what "auto" means. `device` is a resolved one, `parameters` the model's count.

    `stored`: as in `auto_base`. `full`: all weights are to be trained, which neither those nor fp16 can be.
    """
    if asked != "auto":
        return asked
    half = half_of(device)
    if full:
        return auto_base(parameters, half if half == "bf16" else None)
    return auto_base(parameters, half, stored if multiplies_quantised(device) else None)


def multiplies_quantised(device: str) -> bool:
    """Whether quantised products are worth their while there."""
    return device == "cpu" and may_have_kernels()


def may_have_kernels() -> bool:
    """Whether quantised products are compiled here, or can be. Without, they are five times slower than dense ones."""
    if os.environ.get("LORALAB_NATIVE") == "0":
        return False
    built = Path(__file__).parents[1] / "ops" / "native" / "built"
    return any(built.glob("cpu-*.so")) or any(
        shutil.which(name) for name in (os.environ.get("CXX"), *COMPILERS) if name
    )


def auto_base(parameters: int, half: Half | None, stored: str | None = None) -> str:
    """What a model is `stored` as in our own quantised form: None where nothing multiplies that.

    Otherwise the `half` that the device computes in where the model is big enough to gain from that, else fp32.
    """
    if stored:
        return stored
    return half if half and parameters >= WORTH_HALF else "fp32"


def half_of(device: str) -> Half | None:
    """The 16-bit numbers that `device` (resolved) has arithmetic for: bf16 before fp16, whose range is narrow.

    Emulated bf16 is slower than float32; so is fp16 on GPUs without tensor cores, and on processors.
    """
    if device == "mps":
        return "bf16"
    if device == "cpu":
        return None if BF16_CPU.isdisjoint(find_cpu().isa) else "bf16"
    gpus, index = visible_gpus(), int(device.partition(":")[2] or 0)
    capability = gpus[index].capability if index < len(gpus) else (0, 0)
    if capability >= BF16_CAPABILITY:
        return "bf16"
    return "fp16" if capability >= FP16_CAPABILITY else None


def _check_cuda(index: int) -> None:
    nvidia = ask_nvml()
    gpus = select_visible(nvidia.gpus, os.environ.get("CUDA_VISIBLE_DEVICES"))
    if not gpus:
        raise BadInput("--device cuda: no NVIDIA GPU is visible here (see `loralab doctor`); use --device cpu")
    if index >= len(gpus):
        raise BadInput(f"--device cuda:{index}: this computer shows {len(gpus)} GPU(s), counted from 0")
    if reason := unusable(gpus[index], nvidia, find_torch()):
        raise BadInput(f"--device cuda:{index}: {gpus[index].name} cannot be used: {reason}; or use --device cpu")
