"""Whether the system has killed a process for want of memory: Linux counts that, and nobody tells the victim."""

from pathlib import Path

COUNTERS = (Path("/proc/vmstat"), Path("/sys/fs/cgroup/memory.events"))
SENTENCE = "the system ran out of memory and killed a process just then"


def kills(places: tuple[Path, ...] = COUNTERS) -> int:
    """How often since the computer (or its container) began; 0 where nobody counts."""
    return max((_count(place) for place in places), default=0)


def _count(place: Path) -> int:
    try:
        lines = place.read_text().splitlines()
    except OSError:
        return 0
    pairs = (line.partition(" ") for line in lines)
    return next((int(value) for name, _, value in pairs if name == "oom_kill"), 0)
