"""Memory as the contract counts it: device allocations on a GPU, the process' resident set on a CPU."""

import resource
import sys
from pathlib import Path

import psutil
import torch

_STATUS, _CLEAR = Path("/proc/self/status"), Path("/proc/self/clear_refs")


def reset_peak(device: torch.device) -> None:
    """Start counting the peak anew, so that it is this run's and not the process'."""
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    elif _CLEAR.exists():
        try:
            _CLEAR.write_text("5")  # proc(5): resets VmHWM
        except OSError:
            return  # a container may forbid it; then the peak is the process'


def current_bytes(device: torch.device) -> int:
    if device.type == "cuda":
        return torch.cuda.memory_allocated(device)
    if device.type == "mps":
        return torch.mps.current_allocated_memory()
    return psutil.Process().memory_info().rss


def peak_bytes(device: torch.device) -> int:
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    if device.type == "mps":
        return torch.mps.driver_allocated_memory()  # Metal counts no peak; its pool only grows, so this is close
    if _STATUS.exists():
        for line in _STATUS.read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    unit = 1 if sys.platform == "darwin" else 1024
    return max(current_bytes(device), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit)
