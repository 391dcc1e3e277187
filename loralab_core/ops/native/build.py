"""Compiling the kernels: once for this computer, by one process at a time, into a file that is whole or absent.

`python -m loralab_core.ops.native` compiles them beside the package, as setting up does; what is compiled at
first use lies in LORALAB_HOME's cache. torch's own builder waits for ever for one that was killed; the lock here is
the kernel's, which frees it with its holder.
"""

import fcntl
import hashlib
import importlib.util
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

from loralab_core.errors import LoraLabError, explain_os_error, first_line
from loralab_core.hardware.probe import find_torch
from loralab_core.ops.native.sources import Compiler, Unit, find_compiler, source_key
from loralab_core.paths import cache_dir

BESIDE = Path(__file__).parent / "built"
PATIENCE_S = 900  # for one file
Say = Callable[[str], None]


class Toolchain(Protocol):
    """Compilers that make one library together."""

    @property
    def purpose(self) -> str: ...  # what it is for, in words

    def units(self) -> list[Unit]: ...

    def link(self, objects: list[str], made: Path) -> list[str]: ...


def say_on_stderr(sentence: str) -> None:
    print(sentence, file=sys.stderr, flush=True)


def find_built() -> Path | None:
    """What setting up or the wheel has compiled from these very sources."""
    path = BESIDE / f"cpu-{source_key()}.so"
    return path if path.exists() else None


def built_here(say: Say = say_on_stderr) -> Path:
    """The library in the cache, compiled now where it is not there. Raises LoraLabError with a reason in a sentence."""
    compiler = require_compiler()
    return build(in_cache("cpu", source_key(), compiler.version), compiler, say)


def in_cache(room: str, *made_of: str) -> Path:
    torch = find_torch()
    key = repr((*made_of, torch.version if torch else None))
    return cache_dir() / "kernels" / f"{room}-{hashlib.sha256(key.encode()).hexdigest()[:16]}.so"


def require_compiler() -> Compiler:
    path, torch = find_compiler(), importlib.util.find_spec("torch")
    if path is None:
        raise LoraLabError("there is no C++ compiler")
    if torch is None or torch.origin is None:
        raise LoraLabError("torch is not installed")
    return Compiler(path, Path(torch.origin).parent)


def build(target: Path, compiler: Toolchain, say: Say) -> Path:
    """Compile `target` unless it is there; another process that is at it is waited for."""
    if target.exists():
        return target
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with _alone(target.parent, say):
            if not target.exists():
                _build(target, compiler, say)
    except OSError as error:
        raise LoraLabError(explain_os_error(error, f"write {target}")) from error
    return target


@contextmanager
def _alone(directory: Path, say: Say) -> Iterator[None]:
    with open(directory / ".lock", "wb") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say("another process is compiling the kernels; waiting for it")
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _build(target: Path, compiler: Toolchain, say: Say) -> None:
    """With the lock in hand: what lies in a temporary directory here was left by a builder that was killed."""
    for left in target.parent.glob("*.tmp"):
        shutil.rmtree(left, ignore_errors=True)
    say(f"compiling kernels for {compiler.purpose}, once; about half a minute")
    began = time.monotonic()
    with tempfile.TemporaryDirectory(dir=target.parent, suffix=".tmp") as scratch:
        objects, said = _compile(compiler, Path(scratch))
        made = _link(compiler, objects, Path(scratch) / target.name)
        target.with_suffix(".txt").write_text(said)
        os.replace(made, target)
    say(f"the kernels are compiled ({time.monotonic() - began:.0f} s)")


def _compile(compiler: Toolchain, scratch: Path) -> tuple[list[Path], str]:
    """Object files, and what the compilers said: nvcc tells the registers of every kernel."""

    def one(numbered: tuple[int, Unit]) -> tuple[Path, str]:
        number, unit = numbered  # files of different rooms may have the same name
        made = scratch / f"{number}-{unit.file.stem}.o"
        return made, _run(unit.command(made))

    with ThreadPoolExecutor(len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 4) as pool:
        done = list(pool.map(one, enumerate(compiler.units())))
    return [made for made, _ in done], "".join(said for _, said in done)


def _link(compiler: Toolchain, objects: list[Path], made: Path) -> Path:
    _run(compiler.link(list(map(str, objects)), made))
    return made


def _run(command: list[str]) -> str:
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE_S, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise LoraLabError(f"{command[0]} does not work: {first_line(error)}") from error
    if done.returncode:
        errors = [line for line in done.stderr.splitlines() if "error" in line] or done.stderr.splitlines()
        raise LoraLabError(f"{command[0]} failed: {next(iter(errors), f'status {done.returncode}')}")
    return done.stderr


def build_beside(directory: Path = BESIDE, say: Say = say_on_stderr) -> Path:
    """For setting up and for wheels; what older sources have left there is removed."""
    made = build(directory / f"cpu-{source_key()}.so", require_compiler(), say)
    for old in directory.glob("cpu-*.so"):
        if old != made:
            old.unlink(missing_ok=True)
            old.with_suffix(".txt").unlink(missing_ok=True)
    return made
