"""Devices and number formats: chosen where left open, refused with a sentence where impossible."""

import pytest

from loralab_core.errors import BadInput
from loralab_core.hardware import devices
from loralab_core.hardware.devices import half_of, resolve_base, resolve_device, select_visible, visible_gpus
from loralab_core.hardware.nvml import Gpu
from loralab_core.hardware.probe import is_apple_silicon

UUIDS = ("GPU-4711aa", "GPU-4711bb", "GPU-08")
GPUS = tuple(Gpu(index, f"gpu{index}", 1 << 30, 0, None, (9, 0), uuid=UUIDS[index]) for index in range(3))

needs_no_gpu = pytest.mark.skipif(bool(visible_gpus()), reason="says what happens without a GPU")


def test_the_processor_is_always_there() -> None:
    assert resolve_device("cpu") == "cpu"
    assert resolve_device("auto") in ("cpu", "mps", "cuda:0")


@needs_no_gpu
@pytest.mark.parametrize("asked", ["cuda", "cuda:1"])
def test_cuda_without_a_gpu_is_refused(asked: str) -> None:
    with pytest.raises(BadInput, match="no NVIDIA GPU"):
        resolve_device(asked)


@pytest.mark.skipif(is_apple_silicon(), reason="says what happens elsewhere")
def test_mps_elsewhere_is_refused() -> None:
    with pytest.raises(BadInput, match="Apple silicon"):
        resolve_device("mps")


@pytest.mark.parametrize("asked", ["gpu", "cuda:x", "", "CPU "])
def test_an_unknown_device_lists_the_known(asked: str) -> None:
    with pytest.raises(BadInput, match="use auto, cpu, cuda, cuda:N or mps"):
        resolve_device(asked)


@pytest.mark.parametrize(
    ("selection", "chosen"),
    [
        (None, [0, 1, 2]),
        ("", []),
        ("2,0", [2, 0]),
        ("1,-1,0", [1]),
        ("7", []),
        ("GPU-08,GPU-4711aa", [2, 0]),
        ("GPU-0, 1", [2, 1]),
        ("GPU-4711", []),
        ("2,GPU-99,0", [2]),
        ("MIG-1a2b", [0, 1, 2]),
    ],
)
def test_visible_devices_as_cuda_reads_them(selection: str | None, chosen: list[int]) -> None:
    assert [gpu.index for gpu in select_visible(GPUS, selection)] == chosen


def divided(index: int, *names: str) -> Gpu:
    parts = tuple(
        Gpu(index, f"MIG {name}", 1 << 30, 0, None, (9, 0), uuid=f"MIG-{name}", instances=f"{number}/0")
        for number, name in enumerate(names, 1)
    )
    return Gpu(index, f"gpu{index}", 0, 0, None, (9, 0), uuid=UUIDS[index], parts=parts)


@pytest.mark.parametrize(
    ("selection", "chosen"),
    [
        (None, ["MIG-a1"]),
        ("0,1", ["MIG-a1"]),
        ("0", ["GPU-4711aa"]),
        ("MIG-b2,MIG-a1", ["MIG-b2"]),
        ("MIG-a", []),
        ("MIG-GPU-4711bb/2/0", ["MIG-b2"]),
        ("GPU-4711bb", ["MIG-a1"]),
        ("0,MIG-b2", ["MIG-b2"]),
        ("MIG-c", []),
    ],
)
def test_of_divided_devices_cuda_sees_one_instance(selection: str | None, chosen: list[str]) -> None:
    gpus = (GPUS[0], divided(1, "a1", "b2", "a3"))
    assert [gpu.uuid for gpu in select_visible(gpus, selection)] == chosen


def test_small_models_stay_in_float32() -> None:
    assert resolve_base("auto", "cpu", 3_000_000) == "fp32"
    assert resolve_base("auto", "mps", 135_000_000) == "bf16"
    assert resolve_base("bf16", "cpu", 3_000_000) == "bf16"


@pytest.mark.parametrize(
    ("capability", "half", "trained"),
    [
        ((6, 1), None, "fp32"),
        ((7, 0), "fp16", "fp32"),
        ((7, 5), "fp16", "fp32"),
        ((8, 0), "bf16", "bf16"),
        ((9, 0), "bf16", "bf16"),
    ],
)
def test_a_chip_computes_in_its_own_16_bits(
    capability: tuple[int, int], half: str | None, trained: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where all weights are trained they are not in fp16."""
    chip = Gpu(0, "a chip", 16 << 30, 0, None, capability)
    monkeypatch.setattr(devices, "visible_gpus", lambda: (chip,))
    assert half_of("cuda:0") == half and half_of("cuda:1") is None
    assert resolve_base("auto", "cuda:0", 135_000_000) == (half or "fp32")
    assert resolve_base("auto", "cuda:0", 135_000_000, full=True) == trained
    assert resolve_base("auto", "cuda:0", 3_000_000) == "fp32"


@pytest.mark.parametrize("base", ["nf4", "int4", "int8"])
def test_quantised_formats_are_taken_where_they_are_asked_for(base: str) -> None:
    assert resolve_base(base, "cpu", 10**9) == base
