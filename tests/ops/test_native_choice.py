"""Which path multiplies: fixed until measured, kept, recorded, overridden."""

from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
import torch

from loralab_core.ops.native import choice, measure
from loralab_core.ops.native.library import Native, native

FULL = Native("avx512", ("rows", "float32", "bf16", "int8"), Path("cpu-0.so"))


@pytest.fixture(autouse=True)
def table() -> Iterator[None]:
    choice.use_table(None)
    yield
    choice.use_table(None)


def compiled() -> Native:
    if native().library is None:
        pytest.skip("needs compiled kernels")
    return native()


def test_a_class_has_only_paths_that_round_no_more_than_x() -> None:
    assert choice.candidates(FULL, "w4a16", torch.float32, False) == ["rows", "float32", "gemm"]
    assert "bf16" in choice.candidates(FULL, "w4a16", torch.bfloat16, False)
    assert choice.candidates(FULL, "w4a8", torch.bfloat16, True) == ["int8"]


def test_what_failed_its_self_test_is_never_chosen() -> None:
    broken = Native("avx512", ("float32",), Path("cpu-0.so"))
    for paths in choice.fixed(broken).values():
        assert not {"rows", "bf16", "int8"} & set(paths)


def test_every_number_of_rows_has_a_path() -> None:
    compiled()
    for rows in (1, 2, 3, 8, 9, 1024, 1025, 1 << 20):
        assert choice.choose(rows, 64, 64, False, "w4a16", torch.float32)
    assert choice.choose(0, 64, 64, False, "w4a16", torch.float32) is None
    assert choice.choose(4, 64, 64, False, "w4a16", torch.float64) is None


def test_a_recorded_table_holds_and_what_is_not_to_be_had_is_replaced() -> None:
    compiled()
    recorded = choice.table_in_use()
    recorded["w4a16 float32 forward small"] = ["gemm"] * 10 + ["no such path"]
    choice.settle(recorded)
    assert choice.choose(1, 64, 64, False, "w4a16", torch.float32) == "gemm"
    assert choice.choose(5000, 64, 64, False, "w4a16", torch.float32) in ("float32", "gemm")
    assert choice.choose(1, 64, 64, True, "w4a16", torch.float32) == recorded["w4a16 float32 dX small"][0]


def test_loralab_path_goes_before_the_table(monkeypatch: pytest.MonkeyPatch) -> None:
    compiled()
    monkeypatch.setenv("LORALAB_PATH", "gemm")
    choice.use_table(None)
    assert {path for name, paths in choice.table_in_use().items() if "w4a16" in name for path in paths} == {"gemm"}


def test_measured_once_and_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    active = compiled()
    monkeypatch.setattr(measure, "SHAPES", {True: (48, 64), False: (64, 64)})
    monkeypatch.setattr(measure, "COLD", 1 << 14)
    monkeypatch.setattr(measure, "SPELL_S", 0.0)
    assert measure.kept(active) is None
    found = measure.measure(active, dense=True)
    assert measure.kept_measurement(active) == found
    assert all(len(paths) == choice.BUCKETS for paths in found.table.values())
    assert all("dense" in times for each in found.microseconds.values() for times in each)
    assert choice.table_in_use() == found.table


def test_noise_alone_changes_nothing() -> None:
    usual = ["rows"] * choice.BUCKETS
    times = [{"rows": 100.0, "gemm": 95.0}, {"rows": 100.0, "gemm": 50.0}]
    assert measure._winners(times, usual)[:3] == ["rows", "gemm", "rows"]


def test_a_busy_moment_does_not_decide() -> None:
    compiled()
    times = [{"rows": 1e9, "float32": 1e8}]  # seconds: something else had the processor
    usual = ["rows"] * choice.BUCKETS
    assert measure._winners(times, usual)[0] == "float32"
    measure._look_again(times, usual, measure._weights(64, 256), False, torch.float32)
    assert max(times[0].values()) < 1e7


def test_a_damaged_measurement_is_none() -> None:
    active = compiled()
    place = measure._file(active)
    place.parent.mkdir(parents=True, exist_ok=True)
    for content in (b"{", msgspec.json.encode({"table": 3})):
        place.write_bytes(content)
        choice.use_table(None)
        assert measure.kept(active) is None and choice.table_in_use() == choice.fixed(active)
