"""`python -m loralab_core.engine`: started detached by loralab_core.wire.launch, ends when nobody needs it."""

import argparse
import contextlib
import os
import signal
import sys
import time
from collections.abc import Callable
from types import FrameType

from loralab_core import __version__
from loralab_core.engine.server import Server
from loralab_core.errors import LoraLabError
from loralab_core.wire.registry import describe, hold_lock, register, socket_path, unregister

LOCK_TRIES = 10
NICENESS = 5  # the screen and other people's work go first


def main() -> int:
    arguments = _arguments()
    lock = _hold(arguments.key)
    if lock is None:
        print("another engine for this model is running already")
        return 0
    signal.signal(signal.SIGHUP, signal.SIG_IGN)  # the terminal may go, the training stays
    _on_end_signals(lambda *_: sys.exit(0))  # nothing has begun yet; what `finally` cleans up is all there is to do
    with contextlib.suppress(OSError):
        os.nice(NICENESS)
    server = Server(socket_path(arguments.key))
    try:
        register(
            describe(
                arguments.key,
                model=arguments.model,
                base=arguments.base,
                device=arguments.device,
                mode=arguments.mode,
                version=__version__,
            )
        )
        server.start()  # registered before it listens: who connects finds the record
        return _serve(server, arguments)
    except LoraLabError as error:
        print(error)
        return error.exit_code
    finally:
        server.close()
        unregister(arguments.key)


def _hold(key: str) -> int | None:
    """The lock, tried for some time: who only asks whether it is held holds it for a moment."""
    for _ in range(LOCK_TRIES):
        if (lock := hold_lock(key)) is not None:
            return lock
        time.sleep(0.02)
    return None


def _serve(server: Server, arguments: argparse.Namespace) -> int:
    # torch is imported only now: clients can connect, and wait, while it is
    from loralab_core.engine.engine import Engine

    engine = Engine(server, arguments.model, arguments.base, arguments.device, full=bool(arguments.mode))
    _on_end_signals(lambda number, _: engine.leave(f"the engine was asked to end ({signal.Signals(number).name})"))
    engine.serve()
    return 0


def _on_end_signals(do: Callable[[int, FrameType | None], object]) -> None:
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, do)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m loralab_core.engine")
    for name in ("model", "base", "device", "key"):
        parser.add_argument(f"--{name}", required=True)
    parser.add_argument("--mode", default="", help="set where all weights are trained: such a model is not shared")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
