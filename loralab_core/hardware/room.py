"""How much memory a run gets on the device it would be given."""

from dataclasses import dataclass

from loralab_core.hardware.devices import Half, half_of, multiplies_quantised, resolve_device, visible_gpus
from loralab_core.hardware.memory import find_memory


@dataclass(frozen=True)
class Room:
    device: str  # resolved: "cpu", "cuda:0", "mps"
    free: int  # bytes
    total: int
    half: Half | None  # the 16-bit numbers that it computes in
    quantised: bool = False  # whether it multiplies quantised weights


def find_room(asked: str = "auto") -> Room:
    """BadInput for a device that is not here. A GPU's driver may take a second to answer."""
    device = resolve_device(asked)
    if device.startswith("cuda"):
        gpu = visible_gpus()[int(device.partition(":")[2] or 0)]
        return Room(device, gpu.free, gpu.memory, half_of(device))
    memory = find_memory()
    return Room(device, memory.available, memory.total, half_of(device), multiplies_quantised(device))
