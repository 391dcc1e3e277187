"""What the system tells the program: end, or the terminal is gone.

Textual installs no handlers: without these a kill leaves the alternate screen and mouse mode behind.
"""

import asyncio
import os
import signal
import threading
from collections.abc import Callable

PATIENCE_S = 3.0


def leave_on_signals(leave: Callable[[int], object]) -> None:
    """`leave(return_code)` on SIGTERM and SIGHUP; called inside the running event loop."""
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGHUP):
        loop.add_signal_handler(number, _leave, leave, 128 + number)


def _leave(leave: Callable[[int], object], code: int) -> None:
    """In order where that is possible, at any rate soon.

    With the terminal gone Textual's writing thread dies, its queue fills up, and closing waits for ever.
    """
    watchdog = threading.Timer(PATIENCE_S, os._exit, [code])
    watchdog.daemon = True
    watchdog.start()
    leave(code)
