"""Computers that are not here: a folder whose `pynvml` and `torch` say what theirs say, in front of the real ones."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

GB = 10**9

NVML = """
import json, pathlib
BOX = json.loads(pathlib.Path(__file__).with_name("box.json").read_text())
class NVMLError(Exception): pass
class NVMLError_LibraryNotFound(NVMLError): pass
class NVMLError_NotSupported(NVMLError): pass
class NVMLError_GpuIsLost(NVMLError): pass
class Figures:
    def __init__(self, **figures): self.__dict__.update(figures)
def nvmlInit():
    if BOX["driver"] is None: raise NVMLError_LibraryNotFound("NVML Shared Library Not Found")
def nvmlShutdown(): pass
def nvmlSystemGetDriverVersion(): return BOX["driver"]
def nvmlSystemGetCudaDriverVersion_v2(): return BOX["cuda"]
def nvmlDeviceGetCount(): return len(BOX["gpus"])
def nvmlDeviceGetHandleByIndex(index):
    if BOX["gpus"][index].get("lost"): raise NVMLError_GpuIsLost("GPU is lost")
    return BOX["gpus"][index]
def nvmlDeviceGetName(gpu): return gpu["name"]
def nvmlDeviceGetUUID(gpu): return gpu["uuid"]
def nvmlDeviceGetMemoryInfo(gpu): return Figures(total=gpu["total"], used=gpu["total"] - gpu["free"])
def nvmlDeviceGetUtilizationRates(gpu): raise NVMLError_NotSupported("Not Supported")
def nvmlDeviceGetCudaComputeCapability(gpu): return gpu["capability"]
def nvmlDeviceGetMigMode(gpu):
    if "parts" not in gpu: raise NVMLError_NotSupported("Not Supported")
    return [1, 1]
def nvmlDeviceGetMaxMigDeviceCount(gpu): return 7
def nvmlDeviceGetMigDeviceHandleByIndex(gpu, index):
    if index >= len(gpu["parts"]): raise NVMLError("Not Found")
    return gpu["parts"][index]
def nvmlDeviceGetGpuInstanceId(part): return part["instance"]
def nvmlDeviceGetComputeInstanceId(part): return 0
"""

TORCH = """
class cuda:
    @staticmethod
    def is_available(): return {works}
class backends:
    class mps:
        @staticmethod
        def is_available(): return False
class Matrix:
    def __matmul__(self, other): return self
def ones(*shape): return Matrix()
"""


def gpu(name: str, free: int, total: int, capability: tuple[int, int], **more: Any) -> dict[str, Any]:
    """Memory in GB."""
    uuid = f"GPU-{name.lower().replace(' ', '-')}"
    return {"name": name, "uuid": uuid, "free": free * GB, "total": total * GB, "capability": capability, **more}


class Box:
    """`driver` None: there is none. `cuda`: what the driver serves; `torch_cuda`: what torch is built for, or None.

    `works`: whether that torch sees a GPU.
    """

    def __init__(
        self,
        place: Path,
        gpus: list[dict[str, Any]],
        driver: str | None = "580.65",
        cuda: int = 13000,
        torch_cuda: str | None = "13.0",
        works: bool = True,
    ):
        self.place = place
        (place / "torch").mkdir(parents=True)
        (place / "pynvml.py").write_text(NVML)
        (place / "box.json").write_text(json.dumps({"gpus": gpus, "driver": driver, "cuda": cuda}))
        (place / "torch" / "__init__.py").write_text(TORCH.format(works=works))
        (place / "torch" / "version.py").write_text(f"__version__ = '2.11.0'\ncuda = {torch_cuda!r}\n")

    def python(self, *arguments: str, **environment: str) -> "subprocess.CompletedProcess[str]":
        path = os.pathsep.join([str(self.place), str(Path(__file__).parents[2])])
        surroundings = {name: value for name, value in os.environ.items() if not name.startswith("CUDA_")}
        surroundings |= {"PYTHONPATH": path, **environment}
        return subprocess.run(
            [sys.executable, *arguments], env=surroundings, capture_output=True, text=True, timeout=60, check=False
        )

    def command(self, name: str, **environment: str) -> dict[str, Any]:
        """What `loralab NAME --json` says."""
        told = self.python("-m", "loralab_core.cli.main", name, "--json", **environment)
        assert "Traceback" not in told.stderr, told.stderr
        found: dict[str, Any] = json.loads(told.stdout)
        return found

    def resolve(self, asked: str, **environment: str) -> str:
        """The device, or the sentence that refuses it."""
        code = (
            "import sys; from loralab_core.hardware.devices import resolve_device as r\n"
            "try: print(r(sys.argv[1]))\n"
            "except Exception as e: print(e)"
        )
        return self.python("-c", code, asked, **environment).stdout.strip()
