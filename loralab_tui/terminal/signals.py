"""What the system tells the program: end, or the terminal is gone.

Textual installs no handlers: without these a kill leaves the alternate screen and mouse mode behind.
"""

import asyncio
import os
import signal
import sys
import threading
from collections.abc import Callable

PATIENCE_S = 3.0
LOOK_S = 1.0

Leave = Callable[[int], object]


def leave_on_signals(leave: Leave) -> None:
    """`leave(return_code)` on SIGTERM, on SIGHUP and without a terminal; called inside the running event loop."""
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGHUP):
        loop.add_signal_handler(number, _leave, leave, 128 + number)
    if sys.__stdin__ is not None and sys.__stdin__.isatty():
        _leave_without_terminal(sys.__stdin__.fileno(), leave, loop)


def _leave_without_terminal(terminal: int, leave: Leave, loop: asyncio.AbstractEventLoop) -> None:
    """Looked after, because the signal goes to the session's leader alone.

    A shell that leads it passes the signal on by dying; `make run` begun by ssh or tmux without a shell waits for us.
    """
    try:
        os.get_terminal_size(terminal)
    except OSError:
        _leave(leave, 128 + signal.SIGHUP)
    else:
        loop.call_later(LOOK_S, _leave_without_terminal, terminal, leave, loop)


def _leave(leave: Leave, code: int) -> None:
    """In order where that is possible, at any rate soon.

    With the terminal gone Textual's writing thread dies, its queue fills up, and closing waits for ever.
    """
    watchdog = threading.Timer(PATIENCE_S, os._exit, [code])
    watchdog.daemon = True
    watchdog.start()
    leave(code)
