"""The doctor's findings. Each check is one function that returns what it saw and what to do."""

import importlib.util
import os
import platform
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Literal

import msgspec

from loralab_core.cli.terminal import size
from loralab_core.errors import LoraLabError, explain_os_error
from loralab_core.hardware.choice import Choice, without_own_kernels
from loralab_core.hardware.devices import auto_device, visible_gpus
from loralab_core.hardware.memory import find_memory
from loralab_core.hardware.probe import find_torch
from loralab_core.paths import home, quantised_dir
from loralab_core.wire.logout import survey
from loralab_core.wire.registry import clear_dead_sockets, clear_stale, list_engines

LITTLE_SPACE = 2 << 30  # bytes; some checkpoints and an adapter
LITTLE_MEMORY = 2 << 30
TORCH_TIMEOUT_S = 60
COMPILERS = ("c++", "g++", "clang++")
UI_PACKAGES = ("textual", "textual_plotext")


class Finding(msgspec.Struct, frozen=True):
    about: str
    state: Literal["ok", "note", "bad"]
    sentence: str


def check_up() -> list[Finding]:
    """Every check, in the order in which one would repair things."""
    checks: tuple[Callable[[], Finding | list[Finding]], ...] = (
        check_python,
        check_torch,
        check_memory,
        check_compiler,
        check_home,
        check_quantised,
        check_engines,
        check_logout,
        check_ui,
    )
    findings: list[Finding] = []
    for check in checks:
        found = check()
        findings += found if isinstance(found, list) else [found]
    return findings


def check_python() -> Finding:
    said = f"{platform.python_version()} at {sys.executable}"
    if os.name == "nt":
        return Finding("Python", "bad", f"{said}, on Windows; install LoRA Lab under WSL (`wsl --install`)")
    return Finding("Python", "ok", said)


def check_torch() -> list[Finding]:
    torch = find_torch()
    if torch is None:
        return [Finding("torch", "bad", "not installed; run `pip install torch` or `make setup`")]
    works = _ask_torch()
    if works is None:
        return [Finding("torch", "bad", f"{torch.version} does not import; `python -c 'import torch'` says why")]
    built = f"{torch.version}, for CUDA {torch.cuda}" if torch.cuda else torch.version
    return [Finding("torch", "ok", built), *check_device(auto_device(), works)]


def check_device(choice: Choice, works: str) -> list[Finding]:
    """What `--device auto` takes and what cannot be taken. `works`: what torch itself says it computes on."""
    nothing_else = choice.device == "cpu"
    found = [Finding("GPU", "bad" if nothing_else else "note", line) for line in choice.unusable]
    if choice.device.startswith("cuda"):
        if works != "gpu":
            said = f"torch does not see {choice.device}, {choice.why}; restart the computer or reinstall torch, or"
            return [*found, Finding("device", "bad", f"{said} use --device cpu")]
        gpu = visible_gpus()[int(choice.device.removeprefix("cuda:"))]
        found += [Finding("GPU", "note", line) for line in (without_own_kernels(gpu),) if line]
    state: Literal["ok", "note"] = "note" if nothing_else else "ok"
    rest = "; training runs on the processor" if nothing_else else ""
    return [*found, Finding("device", state, f"{choice.device}: {choice.why}{rest}")]


def _ask_torch() -> str | None:
    """ "gpu" or "cpu", from a process of its own, so that a broken torch cannot hurt us; None if it does not import."""
    question = (
        "import torch; gpu = torch.cuda.is_available() or torch.backends.mps.is_available(); "
        "torch.ones(2, 2) @ torch.ones(2, 2); print('gpu' if gpu else 'cpu')"
    )
    try:
        asked = subprocess.run(
            [sys.executable, "-c", question], capture_output=True, text=True, timeout=TORCH_TIMEOUT_S, check=False
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return asked.stdout.strip() if asked.returncode == 0 else None


def check_memory() -> Finding:
    memory = find_memory()
    said = f"{size(memory.available)} free of {size(memory.total)}" + (" in this container" if memory.limited else "")
    if memory.available < LITTLE_MEMORY:
        return Finding("memory", "note", f"{said}; choose a small model, a small --micro-batch and a short --seq-len")
    return Finding("memory", "ok", said)


def check_compiler() -> Finding:
    found = next((path for name in COMPILERS if (path := shutil.which(name))), None)
    if found is None:
        return Finding("compiler", "note", "none; everything runs on PyTorch's own operators")
    return Finding("compiler", "ok", found)


def check_home() -> list[Finding]:
    place = home()
    try:
        place.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=place):
            free = shutil.disk_usage(place).free
    except OSError as error:
        advice = "set LORALAB_HOME to a directory you can write"
        return [Finding("LORALAB_HOME", "bad", f"{explain_os_error(error, f'write {place}')}; {advice}")]
    if free < LITTLE_SPACE:
        advice = "`loralab runs delete` makes room, or set LORALAB_HOME to another disk"
        return [Finding("LORALAB_HOME", "note", f"{place} has only {size(free)} free; {advice}")]
    return [Finding("LORALAB_HOME", "ok", f"{place}, {size(free)} free")]


def check_quantised() -> list[Finding]:
    kept = list(quantised_dir().glob("*.safetensors"))
    if not kept:
        return []
    total = sum(file.stat().st_size for file in kept)
    models = "1 model" if len(kept) == 1 else f"{len(kept)} models"
    said = f"{models} kept, {size(total)} in {quantised_dir()}; they may be deleted and are made again when needed"
    return [Finding("quantised", "ok", said)]


def check_engines() -> list[Finding]:
    clear_dead_sockets()
    stale = [Finding("engine", "note", sentence) for sentence in clear_stale()]
    living = [
        Finding("engine", "ok", f"pid {one.process.pid}: {Path(one.model).name}, {one.base}, {one.device}")
        for one in list_engines()
        if one.process.is_here
    ]
    return stale + (living or [Finding("engine", "ok", "none running; they start when needed")])


def check_logout() -> Finding:
    try:
        survival = survey()
    except LoraLabError as error:
        return Finding("logout", "note", str(error))
    if survival.note:
        return Finding("logout", "note", survival.note)
    how = "in a scope of systemd's user manager" if survival.wrapper else "as ordinary detached processes"
    return Finding("logout", "ok", f"engines outlive it, {how}")


def check_ui() -> Finding:
    missing = [name for name in UI_PACKAGES if importlib.util.find_spec(name) is None]
    if missing:
        return Finding("loralab-tui", "bad", f"{' and '.join(missing)} not installed; `pip install loralab-tui`")
    return Finding("loralab-tui", "ok", "its packages are there")
