"""How much memory a run gets on the device it would be given."""

from dataclasses import dataclass

from loralab_core.hardware.devices import computes_bf16, multiplies_quantised, resolve_device, visible_gpus
from loralab_core.hardware.memory import find_memory


@dataclass(frozen=True)
class Room:
    device: str  # resolved: "cpu", "cuda:0", "mps"
    free: int  # bytes
    total: int
    bf16: bool  # whether it computes in bf16
    quantised: bool = False  # whether it multiplies quantised weights


def find_room(asked: str = "auto") -> Room:
    """BadInput for a device that is not here. A GPU's driver may take a second to answer."""
    device = resolve_device(asked)
    if device.startswith("cuda"):
        gpu = visible_gpus()[int(device.partition(":")[2] or 0)]
        return Room(device, gpu.free, gpu.memory, computes_bf16(device))
    memory = find_memory()
    return Room(device, memory.available, memory.total, computes_bf16(device), multiplies_quantised(device))
