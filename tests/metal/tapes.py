"""The self-test's launches, kept on a tape and made again by programs that were compiled with sanitizers."""

import io
import shutil
import subprocess
import tempfile
from functools import cache
from pathlib import Path
from unittest import mock

import pytest
import torch

from loralab_core.ops.metal import check
from tests.emulation import metal
from tests.metal.exact import kernels

ALONE = ["setarch", "-R"]  # ThreadSanitizer's map of memory bears no random addresses


@cache
def recorded(*names: str) -> bytes:
    """What these tests of the self-test launch."""
    with io.BytesIO() as tape, mock.patch.object(metal, "tape", tape):
        for name in names:
            assert check.TESTS[name](kernels(), torch.device("cpu")) == ""
        return tape.getvalue()


def replayed(program: Path, tape: bytes, order: int = 0) -> subprocess.CompletedProcess[str]:
    with tempfile.NamedTemporaryFile() as file:
        file.write(tape)
        file.flush()
        command = [*ALONE, str(program), file.name, str(order)]
        return subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)


def race_in(sources: list[str], tape: bytes) -> str:
    """What ThreadSanitizer says; empty where it is content."""
    done = replayed(metal.program(sources, "-fsanitize=thread", "-g1"), tape)
    assert not done.returncode or "ThreadSanitizer" in done.stderr, done.stderr[:2000]
    return done.stderr


@cache
def _works(flag: str) -> bool:
    """Whether a program with this sanitizer can be made and run here."""
    if shutil.which(metal.CXX) is None or shutil.which("setarch") is None:
        return False
    with tempfile.TemporaryDirectory() as scratch:
        made = Path(scratch) / "empty"
        build = [metal.CXX, flag, "-x", "c++", "-", "-o", str(made)]
        if subprocess.run(build, input="int main() {}", text=True, capture_output=True, check=False).returncode:
            return False
        return subprocess.run([*ALONE, str(made)], capture_output=True, check=False).returncode == 0


needs_thread_sanitizer = pytest.mark.skipif(not _works("-fsanitize=thread"), reason="no ThreadSanitizer here")
needs_address_sanitizer = pytest.mark.skipif(not _works("-fsanitize=address"), reason="no AddressSanitizer here")
