"""How much memory and processor this process may use: the machine's, or its container's where that is less."""

import ctypes
import re
import sys
from dataclasses import dataclass
from pathlib import Path

UNLIMITED = 1 << 60  # cgroup version 1 says "no limit" with a number beyond this


@dataclass(frozen=True)
class Memory:
    """Bytes of this process's host memory: the container's limit where that is lower."""

    total: int
    available: int
    limited: bool = False  # by a control group


def find_memory() -> Memory:
    import psutil

    host = psutil.virtual_memory()
    limit, used = cgroup_memory(Path("/sys/fs/cgroup"), read_text("/proc/self/cgroup"))
    if limit is None or limit >= host.total:
        return Memory(host.total, host.available)
    return Memory(limit, max(0, min(host.available, limit - used)), limited=True)


def own_limit() -> tuple[int, int] | None:
    """(bytes this process may map under its own limit, `ulimit -v`; what is left of them); None without a limit.

    What was freed in the C library's heap counts as left: it cannot be unmapped, but the next allocation takes it.
    """
    try:
        import resource
    except ImportError:  # Windows
        return None
    limit, _ = resource.getrlimit(resource.RLIMIT_AS)
    if limit == resource.RLIM_INFINITY:
        return None
    import psutil

    return limit, max(0, limit - psutil.Process().memory_info().vms + _free_in_heap())


def _free_in_heap() -> int:
    """mallinfo2(3) of glibc: ten numbers, the ninth is `fordblks`. 0 elsewhere."""

    class Numbers(ctypes.Structure):
        _fields_ = [(f"number{index}", ctypes.c_size_t) for index in range(10)]

    if sys.platform != "linux" or (ask := getattr(ctypes.CDLL(None), "mallinfo2", None)) is None:
        return 0
    ask.restype = Numbers
    return int(ask().number8)


def cgroup_memory(root: Path, membership: str) -> tuple[int | None, int]:
    """(lowest limit or None, bytes used under it) of the control groups in `membership` (/proc/self/cgroup).

    Page cache that the kernel would give back does not count as used.
    """
    lowest: tuple[int, int] | None = None
    for group, limit_file, used_file in _memory_groups(root, membership):
        limit = _number(group / limit_file)
        if limit is not None and limit < UNLIMITED and (lowest is None or limit < lowest[0]):
            cache = re.search(r"^(?:total_)?inactive_file (\d+)$", read_text(group / "memory.stat"), re.MULTILINE)
            used = (_number(group / used_file) or 0) - (int(cache[1]) if cache else 0)
            lowest = (limit, max(0, used))
    return lowest or (None, 0)


def _memory_groups(root: Path, membership: str) -> list[tuple[Path, str, str]]:
    """This process's group and every group above it, with the names of the files to read."""
    groups = []
    for line in membership.splitlines():
        _, controllers, place = line.split(":", 2)
        if controllers == "":
            base, names = root, ("memory.max", "memory.current")
        elif "memory" in controllers.split(","):
            base, names = root / "memory", ("memory.limit_in_bytes", "memory.usage_in_bytes")
        else:
            continue
        own = base / place.strip("/")
        # inside a container the path may be the host's; the root of what is mounted is then ours
        chain = [own, *own.parents] if own.is_dir() else [base]
        groups += [(group, *names) for group in chain if group == base or base in group.parents]
    return groups


def cpu_quota(root: Path = Path("/sys/fs/cgroup")) -> int | None:
    """Whole processors that a container's quota allows, at least 1; None without a quota."""
    words = read_text(root / "cpu.max").split()
    if len(words) == 2 and words[0] != "max":
        return max(1, int(words[0]) // int(words[1]))
    quota, period = _number(root / "cpu" / "cpu.cfs_quota_us"), _number(root / "cpu" / "cpu.cfs_period_us")
    return max(1, quota // period) if quota and period and quota > 0 else None


def read_text(path: str | Path) -> str:
    try:
        return Path(path).read_text(errors="replace")
    except OSError:
        return ""


def _number(path: Path) -> int | None:
    text = read_text(path).strip()
    return int(text) if text.lstrip("-").isdigit() else None
