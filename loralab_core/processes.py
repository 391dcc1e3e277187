"""Who a process is: pid, host and start time together, so that a reused pid is never taken for its predecessor."""

import os
import socket

import msgspec

CLOCK_TOLERANCE_S = 2.0  # start times are derived from the boot time, which the clock's corrections move a little


class Identity(msgspec.Struct, frozen=True):
    """A process, in a way that can be written to a file and recognised later."""

    pid: int
    host: str
    started: float  # unix seconds

    @property
    def is_here(self) -> bool:
        return self.host == socket.gethostname()

    @property
    def is_alive(self) -> bool:
        """Whether this very process runs. Only to be asked where `is_here`."""
        return self.is_here and _started(self.pid, self.started)


def identify(pid: int | None = None) -> Identity:
    """The identity of process `pid`, by default this one. Raises psutil.NoSuchProcess."""
    import psutil

    number = os.getpid() if pid is None else pid
    return Identity(number, socket.gethostname(), psutil.Process(number).create_time())


def _started(pid: int, started: float) -> bool:
    import psutil

    try:
        process = psutil.Process(pid)
        same = abs(process.create_time() - started) <= CLOCK_TOLERANCE_S
        return same and process.status() != psutil.STATUS_ZOMBIE
    except psutil.AccessDenied:
        return True
    except psutil.NoSuchProcess:
        return False
