"""Compiling, testing and registering the kernels, and what happens where they are not to be had."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from loralab_core.errors import LoraLabError
from loralab_core.ops.metal import check, library, products
from loralab_core.ops.metal import source as sources
from loralab_core.ops.metal.launch import Kernels
from loralab_core.ops.metal.library import OPERATORS, Metal, metal
from tests.emulation import metal as emulated
from tests.metal.exact import kernels

ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def forgotten(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(library, "_active", None)
    monkeypatch.delenv("LORALAB_NATIVE", raising=False)
    yield


def test_a_layer_learns_through_the_kernels() -> None:
    """In a process of its own: operators that are registered once stay."""
    environment = {**os.environ, "LORALAB_NATIVE": "0", "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "tests.metal.backend"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["notes"] == [] and found["operators"] == list(OPERATORS) and found["paths"] == list(products.PATHS)
    assert found["recorded"].startswith("metal ")
    assert max(found["errors"].values()) < 1e-5, found["errors"]
    expected = ["rows_4bit_float_4", "transposed_4bit_float_32", "forward_4bit_float_32", "transposed_4bit_float_32"]
    assert found["launched"] == [*expected, "dequantize_4bit_float"]


def test_without_a_gpu_of_apples_there_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []
    monkeypatch.setattr(library, "is_here", lambda: False)
    assert metal(said.append).operators == () and metal(said.append).path(1, False, torch.float32) is None
    assert said == ["no Metal kernels: torch drives no GPU of Apple's here; everything runs on PyTorch's own operators"]
    assert str(metal()) == "reference"


def test_an_old_torch_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []
    monkeypatch.setattr(library, "is_here", lambda: True)
    monkeypatch.delattr(torch.mps, "compile_shader")
    assert metal(said.append).paths == ()
    assert len(said) == 1 and f"torch {torch.__version__} has no torch.mps.compile_shader" in said[0]


def test_they_can_be_switched_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LORALAB_NATIVE", "0")
    assert metal(lambda _: None).notes == ("Metal kernels are switched off (LORALAB_NATIVE=0)",)


def test_what_does_not_compile_or_is_wrong_is_switched_off_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    registered: list[str] = []
    assert "rows" in check.TESTS  # it defines operators when it is imported, which is over now
    monkeypatch.setattr(library.LIBRARY, "impl", lambda name, work, key: registered.append(f"{name} {key}"))

    def compile_shader(text: str) -> object:
        if "rotary" in text:
            raise SyntaxError("program_source:7:1: error: unknown type name 'flaot'\nflaot x;\n^")
        return emulated.compile_shader(text.replace("dot - zero * total[m]", "2.0f * dot - zero * total[m]"))

    found = library.activate(Kernels(compile_shader), torch.device("cpu"), "MPS")
    assert found.paths == ("tiles", "gemm") and "rotary" not in found.operators and "gated" in found.operators
    assert found.path(1, False, torch.float16) == "tiles" and found.path(1, True, torch.float64) is None
    assert found.notes[0].startswith("Metal's rows is switched off: it is off by")
    assert found.notes[1] == ("Metal's rotary is switched off: program_source:7:1: error: unknown type name 'flaot'")
    assert {"quant_matmul MPS", "dequantize MPS", "adam8bit_ MPS"} <= set(registered)


def test_nothing_is_left_where_every_product_is_wrong() -> None:
    assert Metal(paths=()).path(1, False, torch.float32) is None
    assert Metal(paths=("gemm",)).path(1, False, torch.float32) == "gemm"
    assert Metal(paths=products.PATHS).path(0, False, torch.float32) is None


def test_sources_are_whole_and_plain_ascii() -> None:
    files = {path.stem for path in (ROOT / "csrc" / "metal").glob("*.metal")}
    included = {"weight", "addend", "reduce"}
    assert set(sources.FILES) | included == files
    for name in sources.FILES:
        text = sources.source(name)
        assert text.isascii() and '#include "' not in text and text.count("struct Matrix {") <= 1


def test_letters_that_metal_cannot_read_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "metal").mkdir()
    (tmp_path / "metal" / "one.metal").write_text("// a · b", encoding="utf-8")
    monkeypatch.setattr(sources, "sources", lambda: tmp_path)
    with pytest.raises(LoraLabError, match="letters beyond ASCII"):
        sources.source("one")


def test_a_launch_that_does_not_fit_is_noticed_here() -> None:
    """What Metal would do without a word: read a number of the wrong size, or a tensor of the wrong type."""
    x, y = torch.zeros(4), torch.zeros(4, dtype=torch.float16)
    launch = kernels().run
    with pytest.raises(TypeError, match="up is float"):
        launch("gate", "gated_float", x, y, x, [1, 4, 4, 4, 0], groups=(1, 1), size=(32, 1))
    with pytest.raises(TypeError, match="form has 20 bytes, given 16"):
        launch("gate", "gated_float", x, x, x, [1, 4, 4, 4], groups=(1, 1), size=(32, 1))
    with pytest.raises(TypeError, match="has 4 buffers, not 3"):
        launch("gate", "gated_float", x, x, [1, 4, 4, 4, 0], groups=(1, 1), size=(32, 1))
