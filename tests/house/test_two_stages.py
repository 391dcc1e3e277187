"""The set-up script's order: the screen first, the engine beside it, one installation at a time."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tools.setup.progress import Progress
from tools.setup.project import Project

ROOT = Path(__file__).parents[2]
PATIENCE_S = 60.0

# In place of .venv's Python: answers what set-up asks of it, and keeps a list of what pip was to do.
STAND_IN = """#!/bin/sh
echo "$@" >> {root}/calls
case "$*" in
    *tomllib*) printf 'textual>=8\\ntorch>=2.10\\nnumpy>=1\\n' ;;
    *"import pip; print"*) cat {root}/pip-version ;;
    *"--upgrade pip"*) [ -e {root}/offline ] || echo 26.3 > {root}/pip-version ;;
    *--progress-bar*)
        echo $$ $PPID > {root}/holders
        cat {root}/said
        while [ -e {root}/hold ]; do sleep 0.02; done
        exit $(cat {root}/status) ;;
    *setup_venv.py*) exec {python} "$@" ;;
esac
"""
SAID = """Collecting torch>=2.10
  Downloading torch-2.13.0+cpu-cp311-cp311-manylinux_2_28_x86_64.whl (184.0 MB)
Progress 0 of 184000000
Progress 68080000 of 184000000
"""


@pytest.fixture
def checkout(project: Project, tmp_path: Path) -> Path:
    """The script in a project of its own, whose environment is the stand-in."""
    shutil.copytree(ROOT / "tools", tmp_path / "tools", ignore=shutil.ignore_patterns("__pycache__"))
    files = {"said": SAID + "Installing collected packages: torch\n", "status": "0", "pip-version": "26.3", "calls": ""}
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    python = Path(project.python)
    python.parent.mkdir(parents=True)
    python.write_text(STAND_IN.format(root=tmp_path, python=sys.executable))
    python.chmod(0o755)
    return tmp_path


def start(checkout: Path, *arguments: str) -> "subprocess.Popen[str]":
    command = [sys.executable, str(checkout / "tools" / "setup_venv.py"), *arguments]
    """Whoever runs the tests may ignore Ctrl-C, as a shell makes its background jobs; the script is to hear it."""
    hears = partial(signal.signal, signal.SIGINT, signal.default_int_handler)
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, preexec_fn=hears)


def make(checkout: Path, *arguments: str) -> str:
    """Run the script to its end; what it said."""
    process = start(checkout, *arguments)
    said, _ = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 0, said
    return said


def told(checkout: Path) -> dict[str, Any]:
    try:
        progress: dict[str, Any] = json.loads((checkout / ".venv" / "engine-install.json").read_text())
        return progress
    except OSError:
        return {"state": ""}


def until(condition: Any) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def calls(checkout: Path, word: str) -> list[str]:
    return [line for line in (checkout / "calls").read_text().splitlines() if word in line]


def test_the_screen_comes_first_and_the_engine_tells_how_far_it_is(checkout: Path, project: Project) -> None:
    (checkout / "hold").touch()
    make(checkout, "run")
    assert project.has("screen") and not project.has("run"), "the engine is not waited for"
    (installed,) = calls(checkout, "--no-compile setuptools")
    assert "textual>=8 numpy>=1" in installed and "torch" not in installed
    until(lambda: told(checkout)["state"] == "unpacking")
    (checkout / "hold").unlink()
    until(lambda: told(checkout)["state"] == "done")
    assert project.has("run") and calls(checkout, "import torch"), "it was tried before it was called done"


def test_bytes_are_told_as_they_come(tmp_path: Path) -> None:
    progress = Progress(str(tmp_path / "told"), "log", ["again"])
    for line in SAID.splitlines(keepends=True):
        progress.hear(line)
    said = json.loads((tmp_path / "told").read_text())
    assert said["what"] == "PyTorch 2.13" and said["state"] == "downloading"
    assert (said["done"], said["total"]) == (68080000, 184000000)


def test_an_older_pip_is_renewed_because_it_cannot_count(checkout: Path) -> None:
    (checkout / "pip-version").write_text("23.2.1")
    make(checkout, "run")
    until(lambda: told(checkout)["state"] == "done")
    assert calls(checkout, "--upgrade pip") and calls(checkout, "--progress-bar raw")


def test_where_it_cannot_be_renewed_the_phases_are_told_all_the_same(checkout: Path) -> None:
    (checkout / "pip-version").write_text("23.2.1")
    (checkout / "offline").touch()
    (checkout / "hold").touch()
    make(checkout, "run")
    until(lambda: told(checkout)["state"] == "unpacking")
    (checkout / "hold").unlink()
    until(lambda: told(checkout)["state"] == "done")
    assert calls(checkout, "--progress-bar off")


def test_on_a_shared_torch_there_is_nothing_left_to_install(checkout: Path, project: Project) -> None:
    project.write_pins(shared=True)
    make(checkout, "run")
    assert project.has("run") and not Path(project.progress).exists() and not calls(checkout, "--progress-bar")


def test_two_at_once_install_once(checkout: Path) -> None:
    (checkout / "hold").touch()
    both = [start(checkout, "run"), start(checkout, "run")]
    for process in both:
        process.communicate(timeout=PATIENCE_S)
        assert process.returncode == 0
    (checkout / "hold").unlink()
    until(lambda: told(checkout)["state"] == "done")
    assert len(calls(checkout, "--no-compile setuptools")) == 1 and len(calls(checkout, "--progress-bar")) == 1


def test_a_killed_install_is_noticed_and_begun_again(checkout: Path, project: Project) -> None:
    (checkout / "hold").touch()
    make(checkout, "run")
    until(lambda: told(checkout)["state"] == "unpacking")
    for pid in (checkout / "holders").read_text().split():
        os.kill(int(pid), signal.SIGKILL)
    (checkout / "hold").unlink()
    make(checkout, "run")
    until(lambda: told(checkout)["state"] == "done")
    assert len(calls(checkout, "--progress-bar")) == 2


def test_what_failed_is_said_and_tried_again_next_time(checkout: Path, project: Project) -> None:
    (checkout / "status").write_text("1")
    (checkout / "said").write_text("ERROR: No space left on device\n")
    make(checkout, "run")
    until(lambda: told(checkout)["state"] == "failed")
    assert told(checkout)["why"] == "No space left on device" and not project.has("run")
    (checkout / "status").write_text("0")
    subprocess.run(told(checkout)["again"], check=True, timeout=PATIENCE_S)
    assert told(checkout)["state"] == "done" and project.has("run")


def test_what_failed_is_forgotten_once_everything_is_installed(checkout: Path, project: Project) -> None:
    (checkout / "status").write_text("1")
    make(checkout, "run")
    until(lambda: told(checkout)["state"] == "failed")
    make(checkout, "test")
    assert project.has("run") and not Path(project.progress).exists()


def test_the_tests_set_waits_for_the_engine_and_completes_the_rest(checkout: Path, project: Project) -> None:
    (checkout / "hold").touch()
    make(checkout, "run")
    until(lambda: told(checkout)["state"] == "unpacking")
    rest = start(checkout, "test")
    assert rest.stdout is not None and "waiting" in rest.stdout.readline()
    (checkout / "hold").unlink()
    rest.communicate(timeout=PATIENCE_S)
    assert rest.returncode == 0 and project.has("test") and calls(checkout, "[test]")


def test_leaving_while_another_one_installs_is_quiet(checkout: Path) -> None:
    (checkout / "hold").touch()
    make(checkout, "run")
    rest = start(checkout, "test")
    assert rest.stdout is not None and "waiting" in rest.stdout.readline()
    rest.send_signal(signal.SIGINT)
    said, _ = rest.communicate(timeout=PATIENCE_S)
    assert rest.returncode == 130 and said == ""
    (checkout / "hold").unlink()
    until(lambda: told(checkout)["state"] == "done")
