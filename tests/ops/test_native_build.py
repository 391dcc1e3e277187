"""Compiling the kernels: once, by one process at a time, and never a reason to fail."""

import fcntl
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from loralab_core.errors import LoraLabError
from loralab_core.ops.native import build, library, sources, verdict

ROOT = Path(__file__).parents[2]
ASK = "from loralab_core.ops.native.library import native; n = native(); print(n.isa, len(n.paths))"


def silent(sentence: str) -> None:
    pass


def ask(**environment: str) -> subprocess.CompletedProcess[str]:
    """What a process of its own finds to run."""
    given = {**os.environ, "PYTHONPATH": str(ROOT), **environment}
    return subprocess.run([sys.executable, "-c", ASK], env=given, capture_output=True, text=True, check=True)


@pytest.fixture
def few_sources(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A csrc that compiles in a moment."""
    for room, code in {"cpu": "int one() { return 1; }", "binding/cpu": 'extern "C" int two() { return 2; }'}.items():
        (tmp_path / "csrc" / room).mkdir(parents=True)
        (tmp_path / "csrc" / room / "portable.cpp").write_text(code)
    (tmp_path / "package").mkdir()
    monkeypatch.setattr(sources, "PACKAGE", tmp_path / "package")
    return tmp_path / "csrc"


needs_compiler = pytest.mark.skipif(sources.find_compiler() is None, reason="needs a C++ compiler")


@needs_compiler
def test_compiled_once_into_the_cache_until_a_source_changes(few_sources: Path, home: Path) -> None:
    said: list[str] = []
    first = build.built_here(said.append)
    assert first.is_relative_to(home / "cache") and len(said) == 2
    assert build.built_here(said.append) == first and len(said) == 2
    (few_sources / "cpu" / "portable.cpp").write_text("int one() { return 11; }")
    assert build.built_here(said.append) != first and len(said) == 4


@needs_compiler
def test_one_that_was_killed_hinders_nobody(few_sources: Path, home: Path) -> None:
    directory = home / "cache" / "kernels"
    directory.mkdir(parents=True)
    hold = (
        "import fcntl, sys, time; lock = open(sys.argv[1], 'wb'); fcntl.flock(lock, fcntl.LOCK_EX); "
        "print('held', flush=True); time.sleep(600)"
    )
    with subprocess.Popen(
        [sys.executable, "-c", hold, str(directory / ".lock")], stdout=subprocess.PIPE, text=True
    ) as holder:
        assert holder.stdout is not None and holder.stdout.readline() == "held\n"
        (directory / "left.tmp").mkdir()
        with open(directory / ".lock", "wb") as lock, pytest.raises(BlockingIOError):
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        holder.kill()
    assert build.built_here(silent).exists()
    assert not list(directory.glob("*.tmp"))


@needs_compiler
def test_what_does_not_compile_says_why_and_leaves_nothing(few_sources: Path, home: Path) -> None:
    (few_sources / "cpu" / "portable.cpp").write_text("int one() { return nothing; }")
    with pytest.raises(LoraLabError, match="nothing"):
        build.built_here(silent)
    assert [path.name for path in (home / "cache" / "kernels").iterdir()] == [".lock"]


def test_a_home_that_cannot_be_written_is_named(few_sources: Path, home: Path) -> None:
    (home / "cache").write_text("in the way")
    if sources.find_compiler():
        with pytest.raises(LoraLabError, match="cache"):
            build.built_here(silent)


def test_no_compiler_is_said_in_one_line_and_everything_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("CXX", raising=False)
    monkeypatch.setattr(build, "find_built", lambda: None)
    found = library._load(silent)
    assert found.isa == "reference" and not found.paths
    assert found.notes == ("no compiled kernels: there is no C++ compiler; everything runs on PyTorch's own operators",)


def test_a_kernel_that_crashes_ends_another_process_and_is_not_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tried = tmp_path / "tried"
    crash = f"import os; open({str(tried)!r}, 'a').write('once '); os.kill(os.getpid(), {signal.SIGILL.value})"
    monkeypatch.setattr(verdict, "TRY", crash)
    for _ in range(2):
        assert "SIGILL" in verdict.of_untried(tmp_path / "cpu-0.so", "avx512")
    assert tried.read_text() == "once "


def test_switched_off_is_the_reference() -> None:
    found = ask(LORALAB_NATIVE="0")
    assert found.stdout.split() == ["reference", "0"]
    assert found.stderr.count("\n") == 1 and "LORALAB_NATIVE=0" in found.stderr


@needs_compiler
def test_an_instruction_set_can_be_asked_for() -> None:
    assert ask(LORALAB_ISA="portable").stdout.split() == ["portable", "3"]
    other = ask(LORALAB_ISA="vax")
    assert other.stdout.split() == ["reference", "0"] and "LORALAB_ISA=vax" in other.stderr


@needs_compiler
def test_a_compiler_that_does_not_know_an_instruction_set_leaves_it_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, old = sources.find_compiler(), tmp_path / "old-c++"
    old.write_text(f'#!/bin/sh\ncase "$*" in *-mavx512*) exit 1;; esac\nexec {real} "$@"\n')
    old.chmod(0o755)
    units = sources.Compiler(str(old), tmp_path).units()
    assert not any("avx512" in unit.file.name or "-DLORALAB_AVX512" in unit.flags for unit in units)
    assert any(unit.file.name == "portable.cpp" for unit in units)
