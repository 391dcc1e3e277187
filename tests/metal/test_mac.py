"""`make mac`, as far as it runs without a Mac: that it refuses, and its parts on emulated kernels and small sizes."""

import json
import subprocess
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest
import torch

from benchmarks import mac, metal_correct, metal_speed, parts
from loralab_core.ops.metal.launch import Kernels
from tests.emulation import metal
from tests.metal.exact import kernels

ROOT = Path(__file__).parents[2]
CPU = torch.device("cpu")
TINY = metal_speed.Sizes(4096, (32, 64), 64, 64, (4, 64), 50, 600, 4096)


def test_anything_but_a_mac_is_refused_in_one_line() -> None:
    if sys.platform == "darwin":
        pytest.skip("this is a Mac")
    for more in ([], ["--check"]):
        command = [sys.executable, "-S", "-m", "benchmarks.mac", *more]  # without any package
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
        assert done.returncode == 1 and done.stdout == ""
        assert done.stderr.startswith("make mac needs a Mac: this is ") and done.stderr.count("\n") == 1


def test_a_mac_without_apple_silicon_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mac.sys, "platform", "darwin")
    monkeypatch.setattr(mac.platform, "machine", lambda: "x86_64")
    assert mac.refusal() == "make mac needs Apple silicon: this Mac's processor is x86_64"
    monkeypatch.setattr(mac.platform, "machine", lambda: "arm64")
    assert mac.refusal() == ""


def test_every_kernel_is_right_by_its_measure(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metal_correct, "SHAPES", [(1, 1), (37, 75)])
    monkeypatch.setattr(metal_correct, "ROWS", {"rows": (3,), "tiles": (33,), "gemm": (5,)})
    rows = [*metal_correct.against_float64(kernels(), CPU, 7), *metal_correct.self_test(kernels(), CPU)]
    assert [row for row in rows if not row.get("ok", True) or "why" in row] == []
    assert {"tiles dX half", "loss bfloat", "rows forward float", "adam8bit_"} <= {row["what"] for row in rows}


def test_a_wrong_kernel_is_wrong_by_its_measure(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metal_correct, "SHAPES", [(1, 1)])
    monkeypatch.setattr(metal_correct, "ROWS", {"gemm": (1,)})

    def compile_shader(text: str) -> object:
        if "softmax_loss" in text:
            raise SyntaxError("program_source:1:1: error: what is this?")
        return metal.compile_shader(text.replace("* factor", "* 1.01f * factor"))

    rows = {row["what"]: row for row in metal_correct.against_float64(Kernels(compile_shader), CPU, 7)}
    assert [rows[f"RMSNorm {name}"]["ok"] for name in ("float", "half", "bfloat")] == [False] * 3
    assert rows["gates float"]["ok"] and "what is this?" in rows["loss float"]["why"]
    compiled = list(metal_correct.compiled(compile_shader))
    assert ["why" in row for row in compiled] == [file == "loss" for file in metal_correct.FILES]


def test_everything_that_is_measured_runs() -> None:
    timer = metal_speed.Timer(lambda: None, 0.0, 1)
    for part in metal_speed.parts(kernels(), CPU, timer, TINY):
        rows = list(part.work())
        assert rows and all(row["value"] > 0 and "why" not in row for row in rows), (part.name, rows)


def test_a_run_goes_on_where_it_was_and_says_what_it_could_not_do(tmp_path: Path) -> None:
    out, machine, said, ran = tmp_path / "box.json", {"mac": "M0", "torch": "2"}, list[str](), list[str]()

    def good() -> Iterator[parts.Row]:
        ran.append("good")
        yield {"what": "copy", "value": 123.4, "unit": "GB/s", "share": 0.5, "of": "the best"}
        yield parts.attempt("product", lambda: {"value": 1.0, "unit": "s"})

    def bad() -> Iterator[parts.Row]:
        ran.append("bad")
        yield parts.attempt("bf16", partial(_fail, "no bfloat here"))
        raise RuntimeError("the GPU is gone\nlong story")

    chosen = [parts.Part("good", good), parts.Part("bad", bad)]
    report = parts.run_parts(chosen, out, machine, said.append)
    assert json.loads(out.read_text()) == report and not parts.is_right(report)
    lines = "\n".join(parts.table(report))
    assert "123.4 GB/s" in lines and "50% of the best" in lines
    assert "bf16" in lines and "no bfloat here" in lines and "did not end: the GPU is gone" in lines
    parts.run_parts(chosen, out, machine, said.append)
    assert ran == ["good", "bad", "bad"] and said == ["good", "bad", "good: done before", "bad"]
    parts.run_parts(chosen, out, {**machine, "torch": "3"}, said.append)
    assert ran[-2:] == ["good", "bad"]
    assert parts.is_right(parts.run_parts(chosen[:1], tmp_path / "other.json", machine, said.append))


def _fail(why: str) -> parts.Row:
    raise RuntimeError(why)
