"""NVIDIA devices as their driver lists them, by NVML: also where torch is without CUDA, or not there at all."""

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any


@dataclass(frozen=True)
class Gpu:
    index: int  # in the driver's order, by PCI address
    name: str
    memory: int  # bytes
    memory_used: int  # bytes, by everyone
    utilisation: float | None  # percent
    capability: tuple[int, int]  # compute capability, e.g. (9, 0)
    driver: str = ""
    uuid: str = ""  # "GPU-…" or "MIG-…", by which a selection may name it too
    parts: tuple["Gpu", ...] | None = None  # instances of one in MIG mode, which is not to be used itself
    instances: str = ""  # of a part: "gpu instance/compute instance", as old drivers' names end

    @property
    def free(self) -> int:
        """Bytes that nobody holds."""
        return max(0, self.memory - self.memory_used)


@dataclass(frozen=True)
class Nvidia:
    gpus: tuple[Gpu, ...] = ()
    driver: str = ""
    cuda: tuple[int, int] | None = None  # the highest that the driver serves
    trouble: str = ""  # why there is no list


def ask_nvml() -> Nvidia:
    """What the driver says; a device that does not answer is left out, as CUDA leaves it out."""
    try:
        import pynvml
    except ImportError:
        return Nvidia(trouble="the package nvidia-ml-py is not installed")
    try:
        pynvml.nvmlInit()
    except Exception as error:  # no library, no driver, no permission
        return Nvidia(trouble=_reason(error))
    try:
        return _listed(pynvml)
    except pynvml.NVMLError as error:
        return Nvidia(trouble=_reason(error))
    finally:
        with suppress(Exception):
            pynvml.nvmlShutdown()


def _reason(error: Exception) -> str:
    words = {
        "NVMLError_LibraryNotFound": "no NVIDIA driver is installed",
        "NVMLError_DriverNotLoaded": "the NVIDIA driver is not loaded",
        "NVMLError_LibRmVersionMismatch": "the NVIDIA driver was updated and not loaded anew; restart the computer",
        "NVMLError_NoPermission": "the NVIDIA driver refuses this user",
    }
    return words.get(type(error).__name__, f"the NVIDIA driver does not answer ({error})")


def _listed(nvml: Any) -> Nvidia:
    driver, gpus = _text(nvml.nvmlSystemGetDriverVersion()), []
    for index in range(nvml.nvmlDeviceGetCount()):
        with suppress(nvml.NVMLError):
            gpus.append(_gpu(nvml, index, driver))
    cuda = None
    with suppress(nvml.NVMLError):
        version = int(nvml.nvmlSystemGetCudaDriverVersion_v2())  # 12040 is 12.4
        cuda = (version // 1000, version % 1000 // 10)
    return Nvidia(tuple(gpus), driver, cuda)


def _gpu(nvml: Any, index: int, driver: str) -> Gpu:
    handle = nvml.nvmlDeviceGetHandleByIndex(index)
    major, minor = nvml.nvmlDeviceGetCudaComputeCapability(handle)
    whole = _described(nvml, handle, Gpu(index, "", 0, 0, None, (major, minor), driver))
    with suppress(nvml.NVMLError):  # most have no such mode
        if nvml.nvmlDeviceGetMigMode(handle)[0]:
            return replace(whole, parts=tuple(_parts(nvml, handle, whole)))
    return whole


def _parts(nvml: Any, handle: Any, whole: Gpu) -> Iterator[Gpu]:
    for number in range(nvml.nvmlDeviceGetMaxMigDeviceCount(handle)):
        with suppress(nvml.NVMLError):  # there may be gaps
            part = nvml.nvmlDeviceGetMigDeviceHandleByIndex(handle, number)
            ids = f"{nvml.nvmlDeviceGetGpuInstanceId(part)}/{nvml.nvmlDeviceGetComputeInstanceId(part)}"
            yield replace(_described(nvml, part, whole), instances=ids)


def _described(nvml: Any, handle: Any, gpu: Gpu) -> Gpu:
    """`gpu` with what `handle`, of a device or a part of one, tells."""
    utilisation, total, used = None, 0, 0
    with suppress(nvml.NVMLError):  # not known of MIG devices and some virtual ones
        utilisation = float(nvml.nvmlDeviceGetUtilizationRates(handle).gpu)
    with suppress(nvml.NVMLError):  # of a device in MIG mode it is not for every user to know
        memory = nvml.nvmlDeviceGetMemoryInfo(handle)
        total, used = int(memory.total), int(memory.used)
    return replace(
        gpu,
        name=_text(nvml.nvmlDeviceGetName(handle)),
        uuid=_text(nvml.nvmlDeviceGetUUID(handle)),
        memory=total,
        memory_used=used,
        utilisation=utilisation,
    )


def _text(value: str | bytes) -> str:
    return value.decode(errors="replace") if isinstance(value, bytes) else value
