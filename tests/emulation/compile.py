"""Kernels for GPUs compiled for the CPU they are tested on, each once for its sources."""

import fcntl
import hashlib
import shutil
import subprocess
import sysconfig
import tempfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from importlib.util import find_spec
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
CSRC, HERE = ROOT / "csrc", Path(__file__).parent
PLACE = ROOT / "build" / "emulation"
FLAGS = ("-std=c++17", "-O2", "-g1", "-fPIC", "-Wall", "-Wno-unknown-pragmas")
KERNEL = ("-x", "c++", "-ffp-contract=off", f"-I{HERE / 'cuda'}")


def compiler() -> str:
    """Skips the test where there is none."""
    found = shutil.which("g++")
    if found is None:
        pytest.skip("needs g++ to compile the kernels for this processor")
    return found


def cuda_library() -> Path:
    """csrc/cuda and its binding, as operators of torch.ops.emulated on the CPU's tensors."""
    torch = find_spec("torch")
    assert torch is not None and torch.origin is not None
    package = Path(torch.origin).parent
    include = (f"-I{package / 'include'}", "-DTORCH_TARGET_VERSION=0x020a000000000000")
    binding = [file for file in sorted((CSRC / "binding" / "cuda").glob("*.cpp")) if file.stem != "register"]
    units = [(file, KERNEL) for file in sorted((CSRC / "cuda").glob("*.cu"))]
    units += [(file, include) for file in [*binding, HERE / "cuda" / "register.cpp"]]
    return build("cuda.so", [*units, (HERE / "group.cpp", ())], ("-shared", f"-L{package / 'lib'}", "-ltorch_cpu"))


def build(name: str, units: Sequence[tuple[Path, tuple[str, ...]]], link: tuple[str, ...]) -> Path:
    """Files with their flags, compiled side by side and linked; kept for as long as no source changes."""
    target = PLACE / _key(repr((FLAGS, units, link))) / name
    target.parent.mkdir(parents=True, exist_ok=True)
    with open(target.parent / ".lock", "wb") as lock, tempfile.TemporaryDirectory(dir=target.parent) as scratch:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not target.exists():
            _compile(units, Path(scratch), link).replace(target)
    return target


def _compile(units: Sequence[tuple[Path, tuple[str, ...]]], scratch: Path, link: tuple[str, ...]) -> Path:
    def one(numbered: tuple[int, tuple[Path, tuple[str, ...]]]) -> Path:
        number, (file, flags) = numbered  # files of different rooms may have the same name
        made = scratch / f"{number}-{file.stem}.o"
        subprocess.run([compiler(), *FLAGS, *flags, "-c", file, "-o", made], check=True)
        return made

    with ThreadPoolExecutor(2) as pool:
        objects = list(pool.map(one, enumerate(units)))
    subprocess.run([compiler(), *objects, "-o", scratch / "made", *link], check=True)
    return scratch / "made"


def _key(how: str) -> str:
    digest = hashlib.sha256((how + str(sysconfig.get_config_var("SOABI"))).encode())
    for file in sorted([*CSRC.rglob("*"), *HERE.rglob("*")]):
        if file.suffix in (".h", ".cpp", ".cu", ".cuh"):
            digest.update(file.read_bytes())
    return digest.hexdigest()[:16]
