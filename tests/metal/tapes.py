"""The self-test's launches, kept on a tape and made again by programs that were compiled with sanitizers."""

import io
import shutil
import struct
import subprocess
import tempfile
from functools import cache, partial
from pathlib import Path
from unittest import mock

import pytest
import torch

from loralab_core.ops.metal import check
from loralab_core.ops.metal.launch import Kernels
from loralab_core.ops.metal.products import quant_matmul
from loralab_core.ops.quant_matmul import parts
from tests.emulation import metal
from tests.emulation.metal_source import CXX
from tests.metal.exact import error, exact, kernels, matrix, normal

ALONE = ["setarch", "-R"]  # ThreadSanitizer's map of memory bears no random addresses


def one_product(path: str, kernels: Kernels, _: torch.device) -> str:
    """As the self-test's, of one kernel."""
    weight = matrix("int4", 50, 101, 32, True)
    rows = 3 if path == "rows" else 37
    x, left, right, bias = normal(rows, 101), normal(rows, 5), normal(50, 5, seed=1), normal(50)
    y = quant_matmul(kernels, x, *parts(weight), False, left, right, bias, path)
    expected = x.double() @ exact(weight).t() + left.double() @ right.double().t() + bias.double()
    return "" if error(y, expected) < 1e-3 else "it is off"


TESTS: dict[str, check.Test] = {
    **check.TESTS,
    "one by rows": partial(one_product, "rows"),
    "one by tiles": partial(one_product, "tiles"),
}


@cache
def recorded(*names: str) -> bytes:
    """What these TESTS launch."""
    with io.BytesIO() as tape, mock.patch.object(metal, "tape", tape):
        for name in names:
            assert TESTS[name](kernels(), torch.device("cpu")) == ""
        return tape.getvalue()


def kernels_on(tape: bytes) -> set[str]:
    """The names of the kernels that are launched."""
    found, at = set(), 0
    while at < len(tape):
        name, buffers, *_ = struct.unpack_from(metal.LAUNCH, tape, at)
        found.add(name.rstrip(b"\0").decode())
        at += struct.calcsize(metal.LAUNCH)
        for _ in range(buffers):
            at += struct.calcsize(metal.BUFFER) + struct.unpack_from(metal.BUFFER, tape, at)[0]
    return found


def replayed(sources: list[str], tape: bytes, *flags: str, order: int = 0) -> subprocess.CompletedProcess[str]:
    """The launches made again by what these flags make of the sources."""
    program = metal.program(sources, kernels_on(tape), *flags)
    with tempfile.NamedTemporaryFile() as file:
        file.write(tape)
        file.flush()
        command = [*ALONE, str(program), file.name, str(order)]
        return subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)


def race_in(sources: list[str], tape: bytes) -> str:
    """What ThreadSanitizer says; empty where it is content."""
    done = replayed(sources, tape, "-fsanitize=thread")
    assert not done.returncode or "ThreadSanitizer" in done.stderr, done.stderr[:2000]
    return done.stderr


@cache
def _works(flag: str) -> bool:
    """Whether a program with this sanitizer can be made and run here."""
    if shutil.which(CXX) is None or shutil.which("setarch") is None:
        return False
    with tempfile.TemporaryDirectory() as scratch:
        made = Path(scratch) / "empty"
        build = [CXX, flag, "-x", "c++", "-", "-o", str(made)]
        if subprocess.run(build, input="int main() {}", text=True, capture_output=True, check=False).returncode:
            return False
        return subprocess.run([*ALONE, str(made)], capture_output=True, check=False).returncode == 0


needs_thread_sanitizer = pytest.mark.skipif(not _works("-fsanitize=thread"), reason="no ThreadSanitizer here")
needs_address_sanitizer = pytest.mark.skipif(not _works("-fsanitize=address"), reason="no AddressSanitizer here")
