"""Which path multiplies on a GPU: the fixed one until something was measured, then what won, where it can."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from loralab_core.ops.native import choice_gpu, gpu, measure_gpu

CHIPS = {"T4": (7, 5), "L4": (8, 9), "H200": (9, 0)}


class There:
    """What is asked of x: where it lies, its type, its rows."""

    def __init__(self, rows: int, dtype: torch.dtype = torch.bfloat16):
        self.device, self.dtype, self.shape = torch.device("cuda", 0), dtype, (rows, 64)


@pytest.fixture(autouse=True)
def forgotten(home: Path) -> Iterator[None]:
    for each in (choice_gpu._choices, measure_gpu.kept):
        each.cache_clear()
    yield
    for each in (choice_gpu._choices, measure_gpu.kept):
        each.cache_clear()


@pytest.fixture
def chip(monkeypatch: pytest.MonkeyPatch, home: Path) -> Callable[[str], gpu.NativeGpu]:
    def use(name: str) -> gpu.NativeGpu:
        capability = CHIPS[name]
        paths = tuple(path for path, (oldest, newest) in gpu.PATHS.items() if oldest <= capability <= newest)
        found = gpu.NativeGpu(name, gpu.target_of(capability), capability, paths, (), home / "cuda-0.so")
        monkeypatch.setattr(choice_gpu, "native_gpu", lambda number: found)
        return found

    return use


def chosen(
    x: There, shape: tuple[int, int] = (64, 64), *, int8: bool = False, dx: bool = False, compute: str = "w4a16"
) -> Any:
    return choice_gpu.choose_on_gpu(x, shape, int8, dx, compute)  # type: ignore[arg-type]


def test_until_something_is_measured(chip: Callable[[str], Any]) -> None:
    chip("H200")
    assert chosen(There(1)) == chosen(There(16)) == "rows" and chosen(There(17)) == "gemm"
    assert chosen(There(1), dx=True) == "gemm" and chosen(There(1, torch.float32)) == "gemm"
    assert chosen(There(1), int8=True) == "rows"
    assert chosen(There(4000), compute="w4a8") == chosen(There(4000), compute="w4a8", dx=True) == "int8"
    assert chosen(There(100_000)) == "gemm"


def test_a_chip_without_bf16_multiplies_it_by_torch(chip: Callable[[str], Any]) -> None:
    chip("T4")
    assert chosen(There(1)) == chosen(There(500), compute="w4a8") == "gemm"
    assert chosen(There(1, torch.float16)) == "rows" and chosen(There(99, torch.float16), compute="w4a8") == "int8"


@pytest.mark.parametrize(
    ("name", "path", "found"), [("L4", "hopper", "gemm"), ("H200", "hopper", "hopper"), ("H200", "fp8", "gemm")]
)
def test_a_path_is_asked_for(
    chip: Callable[[str], Any], name: str, path: str, found: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    chip(name)
    monkeypatch.setenv("LORALAB_PATH", path)
    assert chosen(There(512)) == found
    assert chosen(There(512), compute="w4a8") == ("fp8" if path == "fp8" else found if found == "hopper" else "int8")


def test_what_was_measured_is_kept_and_chosen(
    chip: Callable[[str], Any], emulated: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    active = chip("H200")
    monkeypatch.setattr(measure_gpu, "SHAPES", {True: (32, 64), False: (64, 64)})
    monkeypatch.setattr(measure_gpu, "ROTATED", 1 << 14)
    monkeypatch.setattr(measure_gpu, "BUCKETS", 6)
    clock = {"hopper": 1.0, "rows": 2.0, "tiles": 3.0, "int8": 0.5, "gemm": 4.0}
    taken: list[str] = []

    def multiply(*arguments: Any) -> Tensor:
        taken.append(arguments[-1])
        return emulated.quant_matmul(*arguments)

    monkeypatch.setattr("loralab_core.ops.quant_matmul.MULTIPLY", multiply)

    def timed(work: Callable[[], object]) -> float:
        taken.clear()
        y = work()
        assert isinstance(y, Tensor) and y.isfinite().all()
        return clock[taken[0]] if taken else 5.0

    def able(compute: str, transposed: bool) -> list[str]:
        return choice_gpu.candidates(active, torch.bfloat16, False, 16, transposed, compute)

    file = measure_gpu.file_of(active.library, active.target, active.name)
    table, times = measure_gpu.measure(torch.device("cpu"), torch.bfloat16, able, file, timed)
    assert table["w4a16 forward small"] == ["hopper"] * 6 and table["w4a8 dX large"] == ["int8"] * 6
    assert times["w4a16 dX small"][0] == {"tiles": 3.0, "hopper": 1.0, "gemm": 4.0, "dense": 5.0}
    assert measure_gpu.read(file) == (table, times)
    assert chosen(There(20)) == "hopper" and chosen(There(20), int8=True) == "gemm"
    assert chosen(There(20, torch.float32)) == "gemm"


def test_before_a_run_it_is_measured_once_and_a_resumed_run_keeps_to_its_own(
    chip: Callable[[str], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    active, measured, said = chip("H200"), list[int](), list[str]()

    def measure(number: int) -> None:
        measured.append(number)
        table = {"w4a16 forward small": ["tiles"] * measure_gpu.BUCKETS}
        file = measure_gpu.file_of(active.library, active.target, active.name)
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps({"table": table, "microseconds": {}}))
        measure_gpu.kept.cache_clear()

    monkeypatch.setattr(choice_gpu, "measure_gpu", measure)
    choice_gpu.settle(0, None, said.append, worth=False)
    monkeypatch.setenv("LORALAB_MEASURE", "0")
    choice_gpu.settle(0, None, said.append)
    assert not measured and not said and chosen(There(512)) == "gemm"
    monkeypatch.delenv("LORALAB_MEASURE")
    for _ in range(2):
        choice_gpu.settle(0, None, said.append)
    assert measured == [0] and said == ["H200: measuring which kernel is the fastest at which size, once; some seconds"]
    assert chosen(There(512)) == "tiles"
    choice_gpu.settle(0, {"w4a16 forward small": ["hopper"] * measure_gpu.BUCKETS}, said.append)
    assert chosen(There(512)) == "hopper" and choice_gpu.table_in_use(0)["w4a16 forward small"][0] == "hopper"
    choice_gpu.settle(0, None, said.append)
    assert chosen(There(512)) == "tiles" and measured == [0]


def test_a_damaged_file_is_none(chip: Callable[[str], Any]) -> None:
    active = chip("H200")
    file = measure_gpu.file_of(active.library, active.target, active.name)
    file.parent.mkdir(parents=True)
    for content in ("{", "[]", '{"table": 3}', '{"table": {"w4a16 forward small": ["warp"]}, "microseconds": {}}'):
        file.write_text(content)
        measure_gpu.kept.cache_clear(), choice_gpu._choices.cache_clear()
        assert chosen(There(100)) == "gemm"
