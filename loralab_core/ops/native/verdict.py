"""A library's first self-test on a computer is made in a process of its own: a kernel that crashes ends that one.

The outcome is kept beside the library, or in LORALAB_HOME's cache where that cannot be written, for this library,
instruction set and processor.
"""

import hashlib
import signal
import subprocess
import sys
from pathlib import Path

import torch

from loralab_core.errors import first_line
from loralab_core.files import write_atomic
from loralab_core.hardware.probe import find_cpu
from loralab_core.paths import cache_dir

PATIENCE_S = 300
PASSED = "passed"
TRY = f"import sys; from {__name__} import main; main(*sys.argv[1:])"


def of_untried(library: Path, isa: str) -> str:
    """Empty for kernels that can be run; else a sentence's part that says how they ended."""
    places = (library.parent / place(library, isa, "verdict").name, place(library, isa, "verdict"))
    said = next((kept for kept in map(_read, places) if kept), "")
    if not said:
        said = _try(library, isa)
        next((kept for kept in places if keep(kept, said.encode())), None)
    return "" if said == PASSED else said


def _read(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:
        return ""


def place(library: Path, isa: str, what: str) -> Path:
    """Where something about these kernels on this processor is kept."""
    cpu = hashlib.sha256(find_cpu().name.encode()).hexdigest()[:8]
    return cache_dir() / "kernels" / f"{library.stem}-{isa}-{cpu}.{what}"


def keep(path: Path, content: bytes) -> bool:
    """Whether it was kept; a disk that refuses only costs the time to find it out again."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomic(path, content)
    except OSError:
        return False
    return True


def _try(library: Path, isa: str) -> str:
    command = [sys.executable, "-c", TRY, str(library), isa, str(torch.get_num_threads())]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE_S, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"their self-test did not end ({first_line(error)})"
    if done.returncode < 0:
        return f"the {isa} ones crashed in their self-test ({signal.Signals(-done.returncode).name})"
    return PASSED  # what else may be wrong is found in every process


def main(library: str, isa: str, threads: str) -> None:
    from loralab_core.ops.native import check
    from loralab_core.ops.native.library import available, open_library

    torch.set_num_threads(int(threads))
    open_library(Path(library), isa)
    check.failures(available(Path(library)))
