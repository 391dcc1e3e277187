"""How long from starting `loralab-tui` to its first full frame, in a real terminal of 120×40.

    python benchmarks/first_paint.py [--times 10] [--out FILE.json]

The program runs in a pseudo-terminal below an empty LORALAB_HOME, as for a newcomer. Told are the wall seconds until
the frame with header and footer is written, and the seconds of processor until then, which a busy computer lengthens
less. Not a test: nothing fails here.
"""

import os
import pty
import select
import statistics
import struct
import subprocess
import sys
import tempfile
import termios
import time
from fcntl import ioctl
from pathlib import Path

from report import command_line, machine, publish

COLUMNS, ROWS = 120, 40
LAST_WRITTEN = b"Quit"  # the footer's last key: a frame is written from top to bottom
LIMIT_S = 30.0


def main() -> None:
    parser = command_line(__doc__)
    parser.add_argument("--times", type=int, default=10)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as home:
        start(home)  # compiles what was never imported
        runs = [start(home) for _ in range(arguments.times)]
    wall, cpu = zip(*runs, strict=True)
    report = {
        "machine": machine(),
        "times": arguments.times,
        "first_paint_s": {"median": round(statistics.median(wall), 3), "worst": round(max(wall), 3)},
        "processor_s": {"median": round(statistics.median(cpu), 3), "worst": round(max(cpu), 3)},
        "load_average": round(os.getloadavg()[0], 1),
    }
    publish(report, arguments.out)


def start(home: str) -> tuple[float, float]:
    """(wall seconds, processor seconds) until the first frame."""
    master, slave = pty.openpty()
    ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", ROWS, COLUMNS, 0, 0))
    # a developer's PYTHONDONTWRITEBYTECODE would have every start compile the program anew
    own = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    environment = {**own, "LORALAB_HOME": home, "TERM": "xterm-256color", "COLORTERM": "truecolor"}
    command = [str(Path(sys.executable).with_name("loralab-tui"))]
    began = time.perf_counter()
    process = subprocess.Popen(
        command, stdin=slave, stdout=slave, stderr=slave, env=environment, start_new_session=True
    )
    os.close(slave)
    try:
        read_until(master, LAST_WRITTEN, began)
        return time.perf_counter() - began, processor_seconds(process.pid)
    finally:
        process.kill()
        process.wait()
        os.close(master)


def read_until(master: int, wanted: bytes, began: float) -> None:
    seen = b""
    while wanted not in seen:
        left = began + LIMIT_S - time.perf_counter()
        if left <= 0 or not select.select([master], [], [], left)[0]:
            raise SystemExit(f"no frame within {LIMIT_S:.0f} s; it wrote {seen[-500:]!r}")
        seen += os.read(master, 1 << 16)


def processor_seconds(pid: int) -> float:
    import psutil

    times = psutil.Process(pid).cpu_times()
    return times.user + times.system


if __name__ == "__main__":
    main()
