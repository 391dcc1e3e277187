"""One installation at a time. The kernel frees the lock when its last holder ends, however that ends."""

import fcntl
import os
import time

POLL_S = 0.1


def take(project, enough):
    """The lock's descriptor, kept open while one installs; waits for another installation to end.

    None as soon as `enough()`: what the other one has done by then is all that is wanted.
    """
    os.makedirs(project.venv, exist_ok=True)
    descriptor = os.open(project.lock, os.O_RDWR | os.O_CREAT, 0o644)
    said = False
    while not acquire(descriptor):
        if enough():
            os.close(descriptor)
            return None
        if not said:
            print("another installation is at work in .venv; waiting for it (Ctrl-C leaves)", flush=True)
            said = True
        time.sleep(POLL_S)
    return descriptor


def acquire(descriptor):
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
