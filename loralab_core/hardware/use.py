"""How busy this computer is right now, for a footer that asks every second."""

from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from loralab_core.hardware.devices import visible_gpus
from loralab_core.hardware.memory import find_memory
from loralab_core.hardware.nvml import Gpu


@dataclass(frozen=True)
class Use:
    cpu_percent: float  # of all processors, since the last look
    memory_used: int  # bytes
    memory_total: int  # bytes
    process_memory: int | None  # resident bytes of the watched process; None if it is gone
    gpus: tuple[Gpu, ...]  # as torch numbers them


class UseMeter:
    """Keeps what must be kept between two looks. `pid` is the engine's, if there is one."""

    def __init__(self, pid: int | None = None) -> None:
        import psutil

        self._psutil = psutil
        self._process: Any = None
        self._has_gpus = True
        self.watch(pid)
        psutil.cpu_percent(None)  # the first reading is only a starting point

    def watch(self, pid: int | None) -> None:
        self._process = None
        if pid:
            with suppress(self._psutil.Error):
                self._process = self._psutil.Process(pid)

    def read(self) -> Use:
        """A millisecond or two; never raises for a process or device that went away."""
        memory = find_memory()
        gpus = visible_gpus() if self._has_gpus else ()
        self._has_gpus = bool(gpus)  # a driver does not appear while we run
        used = memory.total - memory.available
        return Use(self._psutil.cpu_percent(None), used, memory.total, self._resident(), gpus)

    def _resident(self) -> int | None:
        if self._process is None:
            return None
        try:
            return int(self._process.memory_info().rss)
        except self._psutil.Error:
            return None
