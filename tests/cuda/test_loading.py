"""What a box has decides what runs on its GPU, and one line says what does not."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from loralab_core.errors import LoraLabError
from loralab_core.ops import adam8bit_many
from loralab_core.ops.native import build, gpu, nvcc, trial


def silent(_: str) -> None:
    pass


@pytest.fixture(autouse=True)
def forgotten() -> Iterator[None]:
    gpu._found.clear()
    yield
    gpu._found.clear()


@pytest.fixture
def box(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, tuple[int, int]]]:
    """GPUs that torch says are here; none of them computes."""
    gpus = [("NVIDIA H200", (9, 0))]
    monkeypatch.setattr(torch.cuda, "device_count", lambda: len(gpus))
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda number: gpus[number][0])
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda number: gpus[number][1])
    return gpus


def test_a_driver_without_a_compiler(box: list[object], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(gpu, "find_nvcc", lambda: None)
    said: list[str] = []
    found = gpu.native_gpu(0, said.append)
    assert not found.paths and not found.operators and str(found) == "reference"
    assert said == [
        "NVIDIA H200: no compiled kernels: there is no nvcc (CUDA's compiler); PyTorch's own operators run there"
    ]
    gpu.native_gpu(0, said.append)
    assert len(said) == 1


def test_a_chip_that_is_too_old_beside_one_that_is_not(
    box: list[tuple[str, tuple[int, int]]], monkeypatch: pytest.MonkeyPatch
) -> None:
    box[:] = [("Tesla P100", (6, 0)), ("Tesla T4", (7, 5)), ("NVIDIA H200", (9, 0))]
    asked: list[tuple[str, ...]] = []

    def library(targets: tuple[str, ...], say: build.Say) -> Path:
        asked.append(targets)
        raise LoraLabError("no disk")

    monkeypatch.setattr(gpu, "library_for", library)
    notes = [gpu.native_gpu(number, silent).notes[0] for number in range(3)]
    assert "Tesla P100: no compiled kernels: its chip is older than sm_75" in notes[0]
    assert "Tesla T4: no compiled kernels: no disk" in notes[1]
    assert asked == [("75", "90a")] * 2


def test_a_driver_that_is_too_old_is_what_the_trial_says(
    box: list[object], monkeypatch: pytest.MonkeyPatch, tmp_path: Path, home: Path
) -> None:
    said_by_cuda = "a kernel did not start: CUDA driver version is insufficient for CUDA runtime version"
    monkeypatch.setattr(
        trial, "TRY", f"import sys; [print(name, {said_by_cuda!r}, sep=chr(9)) for name in sys.argv[3:]]"
    )
    monkeypatch.setattr(gpu, "library_for", lambda targets, say: tmp_path / "cuda-0.so")
    monkeypatch.setattr(torch.ops, "load_library", lambda path: None)
    found = gpu.native_gpu(0, silent)
    assert not found.paths and not found.operators
    assert found.notes == (
        f"NVIDIA H200: no compiled kernels: {said_by_cuda}; PyTorch's own operators run there",
    )  # one line


def test_kernels_that_fail_alike_share_a_line(
    box: list[object], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    failed = {"tiles": "its result is 3 % off", "int8": "no image", "fp8": "no image"}
    monkeypatch.setattr(trial, "failures", lambda *given: failed)
    monkeypatch.setattr(gpu, "library_for", lambda targets, say: tmp_path / "cuda-0.so")
    monkeypatch.setattr(torch.ops, "load_library", lambda path: None)
    found = gpu.native_gpu(0, silent)
    assert found.notes == (
        "NVIDIA H200: switched off of the kernels: tiles: its result is 3 % off",
        "NVIDIA H200: switched off of the kernels: int8, fp8: no image",
    )
    assert not {"tiles", "int8", "fp8"} & set(found.paths) and found.operators


def test_compiling_is_told_to_who_waits_for_the_model(box: list[object], monkeypatch: pytest.MonkeyPatch) -> None:
    def library(targets: tuple[str, ...], say: build.Say) -> Path:
        say("compiling kernels for the GPU, once; about half a minute")
        raise LoraLabError("the disk is full")

    monkeypatch.setattr(gpu, "library_for", library)
    notes, waiting = list[str](), list[str]()
    gpu.native_gpu(0, notes.append, waiting.append)
    assert waiting == ["compiling kernels for the GPU, once; about half a minute"]
    assert len(notes) == 1 and "the disk is full" in notes[0]


def test_a_kernel_that_ends_its_process_is_switched_off_alone_and_not_tried_again(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, home: Path
) -> None:
    tried = tmp_path / "tried"
    monkeypatch.setattr(
        trial,
        "TRY",
        f"""
import os, sys
open({str(tried)!r}, "a").write("once ")
for name in sys.argv[3:]:
    if name == "bad": sys.exit("an illegal memory access was encountered")
    print(name, "", sep=chr(9), flush=True)
""",
    )
    for _ in range(2):
        failed = trial.failures(tmp_path / "cuda-0.so", "cuda:0", "NVIDIA H200", ["rows", "bad", "gemm"])
        assert list(failed) == ["bad"] and "illegal memory access" in failed["bad"]
    assert tried.read_text() == "once once "


def test_the_trial_finds_what_is_wrong(emulated: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the kernels emulated: they pass, and a wrong one does not."""
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: (9, 0))
    for name in ("quant_matmul", *trial.OPERATORS):
        monkeypatch.setattr(torch.ops.loralab, name, getattr(emulated, name))
    monkeypatch.setattr(adam8bit_many, "ADAM8BIT_MANY_", emulated.adam8bit_many_)
    device = torch.device("cpu")
    for name in (*gpu.PATHS, *trial.OPERATORS):
        assert trial.wrong(name, device) == "", name

    def wrong(*arguments: object) -> torch.Tensor:
        return emulated.quant_matmul(*arguments) * 1.05

    monkeypatch.setattr(torch.ops.loralab, "quant_matmul", wrong)
    assert "times what rounding explains" in trial.wrong("rows", device)


def test_nvcc_is_found_by_its_variable_first(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    own = tmp_path / "nvcc"
    own.write_text("#!/bin/sh\necho no compiler\nexit 3\n")
    own.chmod(0o755)
    monkeypatch.setenv("CUDACXX", str(own))
    assert nvcc.find_nvcc() == str(own)
    with pytest.raises(LoraLabError, match="does not run"):
        gpu.library_for(("90a",), silent)
