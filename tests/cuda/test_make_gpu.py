"""`make gpu`, as far as it runs without a GPU: that it says so, and every part's own arithmetic at tiny sizes."""

import dataclasses
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
import torch
from torch import Tensor

from benchmarks import apart, parts
from benchmarks.gpu import __main__ as command
from benchmarks.gpu import build, correct, decode, fused, models, peers, products, profile, rows, timing, training
from benchmarks.gpu.plan import PLAN, chosen
from benchmarks.gpu.sizes import CONFIGS, FULL, TINY
from loralab_core.architecture.counts import parameter_count
from loralab_core.architecture.families import parse_config
from loralab_core.ops.graphs import CannotRecord
from loralab_core.ops.native import build as native_build
from loralab_core.ops.native import nvcc
from loralab_core.ops.native.sources import Unit
from loralab_core.runs.config import TrainConfig
from tests.recording import RecorderOnCpu

CPU = torch.device("cpu")
CHILD = """
import json, os, signal, sys, time
name, file = sys.argv[1:]
with open(file, "a") as opened:
    print(json.dumps({"what": name, "value": 1.0, "unit": "s"}), file=opened, flush=True)
    if name == "hangs":
        opened.write('{"what": "to')
        opened.flush()
        time.sleep(60)
if name == "crashes": os.kill(os.getpid(), signal.SIGSEGV)
if name == "fails": sys.exit("the GPU is gone")
"""
PTXAS = """ptxas info    : 0 bytes gmem
ptxas info    : Compiling entry function '_ZN3oneEv' for 'sm_90a'
ptxas info    : Function properties for one
    0 bytes stack frame, 0 bytes spill stores, 0 bytes spill loads
ptxas info    : Used 64 registers, used 1 barriers, 2048 bytes smem
ptxas info    : Compiling entry function 'two' for 'sm_90a'
ptxas info    : Function properties for two
    40 bytes stack frame, 24 bytes spill stores, 12 bytes spill loads
ptxas info    : Used 255 registers, used 0 barriers
"""


# ---- what is done when ---------------------------------------------------------------------------------------------


def test_without_a_gpu_one_line_and_the_reasons(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    if torch.cuda.is_available():
        pytest.skip("there is a GPU")
    assert command.main(["test", "--place", str(tmp_path)]) == 1
    said = capsys.readouterr()
    assert said.out == "" and said.err.count("\n") == 1 and "no GPU can be used" in said.err
    report = json.loads((tmp_path / "result.json").read_text())
    assert list(report["parts"]) == chosen(["test"])
    assert all("no GPU can be used" in part["why"] for part in report["parts"].values())
    (tmp_path / "result.json").write_text('{"machine": {"gpu": "H200"}, "parts": {}}')
    command.main(["--place", str(tmp_path)])
    assert "H200" in (tmp_path / "before.json").read_text()


def test_names_of_parts() -> None:
    assert chosen([]) == list(PLAN)
    assert chosen(["train", "box"]) == ["box", *(name for name in PLAN if name.startswith("train-"))]
    assert chosen(["train-qwen3-8b"]) == ["train-qwen3-8b"]
    with pytest.raises(ValueError, match="no part is called 'tra'; there are box, build"):
        chosen(["tra"])
    assert command.main(["tra"]) == 2


def test_one_that_fails_takes_no_other_with_it_and_the_next_call_goes_on(tmp_path: Path) -> None:
    def run(left: float, **how: bool) -> tuple[dict[str, Any], list[str]]:
        processes = apart.Apart(lambda name, file: [sys.executable, "-c", CHILD, name, str(file)], tmp_path, left)
        names = ("good", "fails", "crashes", "hangs", "well")
        work = [
            parts.Part(name, lambda name=name: processes.rows(name, 3.0 if name == "hangs" else 60.0)) for name in names
        ]  # type: ignore[misc]
        said: list[str] = []
        return parts.run_parts(work, tmp_path / "result.json", {"gpu": "none"}, said.append, **how), said

    report, _ = run(float("inf"))
    state = {name: (part["state"], part.get("why", "")) for name, part in report["parts"].items()}
    assert state["good"] == state["well"] == ("done", "")
    assert state["fails"][1].startswith("the GPU is gone (see ")
    assert state["crashes"][1].startswith("status -11")
    assert "ended after 3 s" in state["hangs"][1]
    assert all([row["what"] for row in part["rows"]] == [name] for name, part in report["parts"].items())
    assert report == json.loads((tmp_path / "result.json").read_text()) and not parts.is_right(report)
    assert "did not end: the GPU is gone" in "\n".join(parts.table(report))
    _, said = run(0.0)
    assert said == ["good: done before", "fails", "crashes", "hangs", "well: done before"]
    report, said = run(0.0, again=True)
    assert "good" in said and "no time left" in report["parts"]["good"]["why"]


def test_a_part_in_a_process_of_its_own(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    how = ["matvec", "--device", "cpu", "--tiny", "--place", str(tmp_path)]
    assert command.main(how) == 0
    assert "one row by NF4 64 x 128, of the copy" in capsys.readouterr().out
    kept = json.loads((tmp_path / "result.json").read_text())
    assert kept["machine"]["sizes"] == "tiny" and kept["parts"]["matvec"]["state"] == "done"
    assert command.main(how) == 0
    assert "matvec: done before" in capsys.readouterr().err


def test_bounds_stand_beside_their_figure() -> None:
    lines = [
        rows.figure("copy", 4300.0, "GB/s"),
        rows.figure("matvec", 0.85, must=0.8, reach=0.9),
        rows.figure("peak", 15.0, "GB", must=14.0, reach=9.0, low=True),
        rows.figure("speed", 2.0, "×", reach=1.5),
        rows.gap("fp8", "it is not for chips of compute capability 8.0", must=1.3),
        rows.checked("rows", float("inf"), 1.0),
        rows.checked("rows", 1.5, 1.0),
    ]
    said = parts.table({"machine": {}, "parts": {"all": {"state": "done", "seconds": 1, "rows": lines}}})[3:]
    for line, words in zip(
        said,
        (
            "4300 GB/s",
            "(must ≥ 0.8, reach ≥ 0.9: enough)",
            "(must ≤ 14, reach ≤ 9: SHORT)",
            "(reach ≥ 1.5: reached)",
            "it is not for chips of compute capability 8.0  (must ≥ 1.3)",
            "it is infinite or NaN",
            "WRONG: 1.0e+00 is allowed",
        ),
        strict=True,
    ):
        assert line.endswith(words), line
    assert [row.get("ok") for row in lines[-3:]] == [True, False, False]


# ---- what is found -------------------------------------------------------------------------------------------------


@pytest.fixture
def on_kernels(emulated: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Products and dense rows by the CUDA kernels, on tensors of the CPU."""
    for name in ("quant_matmul", "dequantize"):
        monkeypatch.setattr(torch.ops.loralab, name, getattr(emulated, name))


@pytest.mark.parametrize("name", ["rows", "tiles", "hopper", "int8", "dequantize"])
def test_the_very_kernels_pass(on_kernels: None, name: str) -> None:
    (row,) = correct.measure(name, CPU, TINY)
    assert row["ok"] and 0 < row["value"] < 1 and row["facts"]["cases"] >= 12


@pytest.mark.parametrize("name", list(fused.OPERATORS))
def test_the_references_of_the_fused_pass(name: str) -> None:
    found = list(fused.OPERATORS[name](CPU))
    assert found and max(each.share for each in found) < 1


@pytest.mark.parametrize("spoil", [lambda y: y * 1.05, lambda y: y.fill_(float("nan"))])
def test_a_wrong_product_and_one_that_nobody_wrote_are_found(
    spoil: Any, on_kernels: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    true = torch.ops.loralab.quant_matmul

    def wrong(*arguments: Any) -> Tensor:
        return spoil(true(*arguments))  # type: ignore[no-any-return]

    monkeypatch.setattr(torch.ops.loralab, "quant_matmul", wrong)
    (row,) = correct.measure("rows", CPU, TINY)
    assert not row["ok"] and (row.get("value", 2.0) > 1 or "NaN" in row["why"])


def test_shares_and_ratios(on_kernels: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """With times that are given: a copy at 1 GB/s, ours in 10 µs, a dense product in 30."""
    microseconds = {"ours": 10.0, "copy": 2 * TINY.copied / 1e3, "dense": 30.0}
    microseconds |= {"gemm": 20.0, "tiles": 60.0, "hopper": 90.0}

    def given(works: dict[str, Any], device: torch.device, seconds: float) -> dict[str, timing.Time]:
        for calls in works.values():
            calls[0]()
        return {name: timing.Time(microseconds[name], microseconds[name], True) for name in works}

    monkeypatch.setattr(products, "race", given)
    packed = products.cold(TINY.matrix, CPU, TINY)[0].nbytes
    (dense,) = products.dequantisation(CPU, TINY)
    assert dense["value"] == pytest.approx((packed + 2 * 64 * 128) / 10 / 1e3)
    (few,) = products.matvec(CPU, TINY)
    assert few["value"] == pytest.approx((packed + 2 * (64 + 128)) / 10 / 1e3)
    found = {row["what"]: row for row in products.w4a16(CPU, TINY)}
    assert found["tiles 64² dX, 24 rows, of bf16"]["value"] == 0.5
    best = found["W4A16 64² forward, the better of them, of bf16"]
    assert best["value"] == 1.5 and best["verdict"] == "reached" and best["facts"]["path"] == "gemm"


def test_errors_of_8_bits_are_those_of_the_path(on_kernels: None) -> None:
    weight = products.cold((64, 128), CPU, TINY)[0]
    x = torch.randn(16, 128).bfloat16()
    fine, coarse = (products.relative_error(path, x, weight, False) for path in ("tiles", "int8"))
    assert fine < 0.004 < coarse < 0.015


def test_what_the_compiler_reports(tmp_path: Path) -> None:
    library = tmp_path / "cuda-0.so"
    assert nvcc.resources(library) == []
    library.with_suffix(".txt").write_text(PTXAS)
    assert nvcc.resources(library) == [nvcc.Kernel("_ZN3oneEv", "90a", 64, 0), nvcc.Kernel("two", "90a", 255, 24)]
    assert build.demangled("_ZN3oneEv\ntwo").splitlines() in (["one()", "two"], ["_ZN3oneEv", "two"])


def test_what_this_compiler_reports(tmp_path: Path) -> None:
    if (found := nvcc.find_nvcc()) is None:
        pytest.skip("needs nvcc")
    file, library = tmp_path / "twice.cu", tmp_path / "cuda-0.so"
    file.write_text("namespace one { __global__ void twice(float* x) { x[threadIdx.x] *= 2; } }\n")
    flags = (*nvcc.FLAGS, "-gencode=arch=compute_90a,code=sm_90a")
    library.with_suffix(".txt").write_text(native_build._run(Unit(file, flags, found).command(tmp_path / "twice.o")))
    (kernel,) = nvcc.resources(library)
    assert "twice" in kernel.name and kernel.target == "90a" and 0 < kernel.registers < 64 and not kernel.spilled


def test_where_time_goes() -> None:
    found = profile.summary([("nvjet_gemm", 30.0), ("void loralab::rows", 50.0), ("nvjet_gemm", 20.0)], 200.0)
    assert found["busy"] == 0.5 and found["launches"] == 3
    assert found["kinds"] == {"dense products": 0.5, "ours": 0.5}
    assert found["kernels"][0] == {"name": "nvjet_gemm", "share": 0.5, "calls": 2}
    assert profile.in_words(found) == "busy 50% of 0 ms, 3 launches: dense products 50%, ours 50%"


# ---- training and answers ------------------------------------------------------------------------------------------


def test_settings_of_a_step_are_those_of_a_run() -> None:
    """By name and default, but for the schedule: what is measured is one step, again and again."""
    known = {field.name: field.default for field in msgspec.structs.fields(TrainConfig)}
    for field in dataclasses.fields(training.Settings):
        assert field.name in known
        if field.default is not dataclasses.MISSING and field.name != "schedule":
            assert field.default == known[field.name], field.name


@pytest.mark.parametrize("base", ["nf4", "bf16", "nf4 on a T4", "fp16"])
def test_it_trains(base: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if base not in ("nf4", "bf16"):
        monkeypatch.setattr(models, "half", lambda device: torch.float16)
    lm = models.random_model(TINY.config("tiny"), base.partition(" ")[0], CPU)
    assert lm.model.dtype == (torch.bfloat16 if base in ("nf4", "bf16") else torch.float16)
    step = training.make_step(lm, dataclasses.replace(TINY, rank=8))
    losses = [step() for _ in range(6)]
    assert losses[-1] < losses[0] - 0.005 and abs(losses[0] - 5.77) < 0.2  # log 320, the vocabulary's size


def test_ours_beside_the_peer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(training, "timed", _timed(iter([400.0, 300.0, 100.0])))
    monkeypatch.setattr(peers, "training_step", lambda *given: lambda: 0.0)
    found = {row["what"]: row for row in training.measure("tiny", CPU, TINY)}
    assert found["bf16 against transformers + peft on bf16"]["value"] == 3.0
    assert found["bf16 against transformers + peft on bf16"]["verdict"] == "enough"
    assert found["nf4 against transformers + peft on bf16"]["value"] == 4.0
    assert found["nf4, eager: peak memory"]["value"] == 2.0
    assert "records no graphs" in found["nf4, captured"]["why"]
    assert "launches" in found["nf4, eager: where the time goes"]["note"]


def _timed(speeds: Iterator[float]) -> Any:
    """Each step is really taken once."""

    def timed(step: Any, device: torch.device, sizes: Any) -> dict[str, Any]:
        return {"tokens/s": next(speeds), "median seconds": 0.1, "peak bytes": 2e9, "losses": [step()]}

    return timed


def test_the_peer_as_it_is_installed() -> None:
    pytest.importorskip("peft")
    ids = training.token_ids(TINY.config("tiny"), TINY)
    step = peers.training_step(TINY.config("tiny"), CPU, TINY, ids)
    found = training.timed(step, CPU, TINY)
    assert found["tokens/s"] > 0 and found["losses"][-1] < found["losses"][0]
    drawn = peers.tokens(TINY.config("tiny"), CPU, [1, 2, 3])
    assert all(0 <= next(drawn) < 320 for _ in range(3))


def test_what_could_not_be_measured_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    def ours(lm: Any, *given: Any) -> Any:
        if lm.base == "nf4":
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB")
        raise RuntimeError("an illegal memory access was encountered\nmore")

    def no_peft(*given: Any) -> Any:
        raise ModuleNotFoundError("No module named 'peft'", name="peft")

    monkeypatch.setattr(training, "_ours", ours)
    monkeypatch.setattr(peers, "training_step", no_peft)
    memory, _, _, fault, _, _, peer = training.measure("tiny", CPU, TINY)  # those between: captured
    assert (memory["why"], memory["ok"]) == ("out of memory", True)
    assert (fault["why"], fault["ok"]) == ("RuntimeError: an illegal memory access was encountered", False)
    assert peer["why"] == "no peer: peft is not installed" and peer["ok"] and peer["must"] == 2.0


def test_an_answer_is_drawn_and_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(peers, "tokens", lambda *given: iter(range(1000)))
    found = {row["what"]: row for row in decode.measure("tiny", CPU, TINY)}
    assert found["nf4, eager"]["value"] > 0
    assert "records no graphs" in found["nf4, captured"]["why"]
    assert "launches" in found["nf4, eager: where the time goes"]["note"]
    assert found["nf4 against transformers bf16"]["value"] > 0
    lm = models.random_model(TINY.config("tiny"), "nf4", CPU)
    count = parameter_count(lm.model.config)
    nbytes = found["nf4, eager"]["facts"]["nbytes"]
    assert nbytes == models.weight_bytes(lm.model)
    assert 0.5 * count < nbytes < 1.2 * count  # 4 bits and their scales, the tied head in 8


def test_the_better_of_eager_and_captured_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    found, recorder = decoded(monkeypatch, RecorderOnCpu())
    assert found["nf4 against transformers bf16"]["value"] == 2.0  # 90 tokens/s by 45
    assert found["nf4 against transformers bf16"]["verdict"] == "enough"
    assert recorder.recorded == 2 and recorder.replayed > 2, "one is timed, one profiled"


def test_what_is_not_recorded_is_not_called_captured(monkeypatch: pytest.MonkeyPatch) -> None:
    class Refusing(RecorderOnCpu):
        def __call__(self, work: Any) -> Any:
            raise CannotRecord("out of memory")

    found, _ = decoded(monkeypatch, Refusing())
    assert found["nf4, captured"]["why"] == "RuntimeError: no graph could be recorded: out of memory"
    assert not found["nf4, captured"]["ok"]
    assert found["nf4 against transformers bf16"]["value"] == pytest.approx(1 / 3)  # 30 by 90


def decoded(monkeypatch: pytest.MonkeyPatch, record: RecorderOnCpu) -> tuple[dict[str, Any], RecorderOnCpu]:
    """As on a device that records; the speeds are given, the tokens are drawn."""
    speeds = iter([30.0, 90.0, 45.0])

    def timed(begin: Any, *given: Any, **how: Any) -> float:
        drawn = begin()
        for _ in range(decode.warm_up(TINY) + 1):
            next(drawn)
        return next(speeds)

    monkeypatch.setattr(decode, "recorder", lambda device: record)
    monkeypatch.setattr("loralab_core.inference.reader.recorder", lambda device: record)
    monkeypatch.setattr("loralab_core.inference.reader.can_decode", lambda *given: False)
    monkeypatch.setattr(decode, "tokens_per_s", timed)
    monkeypatch.setattr(peers, "tokens", lambda *given: iter(range(1000)))
    return {row["what"]: row for row in decode.measure("qwen3-8b", CPU, TINY)}, record


NAMES = {"tinyllama-1.1b": "TinyLlama-1.1B-Chat-v1.0", "qwen3-0.6b": "Qwen3-0.6B", "qwen3-1.7b": "Qwen3-1.7B"}


@pytest.mark.parametrize("name", ["tinyllama-1.1b", "qwen3-0.6b", "qwen3-1.7b", "qwen3-8b"])
def test_configurations_are_those_of_their_models(name: str, fixtures_dir: Path) -> None:
    real = json.loads((fixtures_dir / "configs" / f"{NAMES.get(name, 'Qwen3-8B')}.json").read_text())
    assert parse_config(FULL.config(name), name) == parse_config(real, name)


def test_every_part_has_its_configuration() -> None:
    for name, billions in {"qwen3-0.6b": 0.60, "qwen3-1.7b": 1.72, "qwen3-4b": 4.02, "qwen3-8b": 8.19}.items():
        assert parameter_count(parse_config(FULL.config(name), name)) / 1e9 == pytest.approx(billions, abs=0.01)
    wanted = {name.partition("-")[2] for name in PLAN if name.startswith(("train-", "decode-"))}
    assert wanted | {"tiny"} == {file.stem for file in CONFIGS.glob("*.json")}


def test_calls_take_turns_and_are_all_timed() -> None:
    made: list[int] = []
    found = timing.race({"one": [lambda: made.append(1), lambda: made.append(2)]}, CPU, 0.0)
    assert made == [1, 2] * (timing.LEAST_ROUNDS + 1) and not found["one"].captured
    assert 0 <= found["one"].least <= found["one"].median
