"""What a device has left for this process, and how memory is given back after an allocation has failed.

Stands apart from the rooms because everybody who allocates needs it: loading, training and answers.
"""

import ctypes
import gc
import sys
import traceback
from typing import NamedTuple

import torch

from loralab_core.hardware.memory import find_memory, own_limit


class DeviceMemory(NamedTuple):
    """Bytes. `free` is what this process can still take: what its allocator keeps ready counts as free."""

    free: int
    total: int
    others: int  # held by other processes; 0 where that cannot be told


def device_memory(device: torch.device) -> DeviceMemory:
    """As the device's driver says, so what others hold there is seen. A processor's is the host's memory."""
    if device.type == "cuda":
        free, total = torch.cuda.mem_get_info(device)
        reserved = torch.cuda.memory_reserved(device)
        ready = reserved - torch.cuda.memory_allocated(device)
        return DeviceMemory(free + ready, total, max(0, total - free - reserved))
    host = find_memory()
    if device.type == "mps":  # shares the host's memory, of which Metal gives one process a part
        most = torch.mps.recommended_max_memory()
        return DeviceMemory(max(0, min(host.available, most - torch.mps.current_allocated_memory())), most, 0)
    limit, left = own_limit() or (host.total, host.available)
    return DeviceMemory(min(left, host.available), min(limit, host.total), 0)


def give_back(device: torch.device, error: BaseException | None = None) -> None:
    """Free what failed work has left behind: the tensors in the frames of `error`, then the allocator's cache."""
    while error is not None:
        traceback.clear_frames(error.__traceback__)  # whoever holds the error would hold a whole pass by them
        error = error.__context__
    gc.collect()
    if device.type == "cuda":
        torch.cuda.empty_cache()
    elif device.type == "mps":
        torch.mps.empty_cache()
    elif sys.platform == "linux" and (trim := getattr(ctypes.CDLL(None), "malloc_trim", None)):
        trim(0)  # glibc keeps freed blocks of some megabytes, and other processes may want them


def in_words(count: float) -> str:
    """Bytes as people read them."""
    return f"{count / 1e9:,.1f} GB" if count >= 1e8 else f"{count / 1e6:,.0f} MB"
