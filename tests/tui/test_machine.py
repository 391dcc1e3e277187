"""The footer's half line about the computer."""

from loralab_core.hardware.devices import select_visible
from loralab_core.hardware.nvml import Gpu
from loralab_core.hardware.use import Use
from loralab_tui.states.machine import machine_line

GPUS = tuple(Gpu(index, f"H{index}00", 80 * 10**9, index * 10**9, None, (9, 0)) for index in range(4))


def use(selection: str | None) -> Use:
    return Use(1.0, 5 * 10**9, 16 * 10**9, None, select_visible(GPUS, selection))


def test_the_gpu_is_the_one_that_the_engine_sees_under_its_number() -> None:
    assert "H300 3" in machine_line("box", "cuda:0", use("3"), 80)
    assert "3.0 of 80 GB" in machine_line("box", "cuda:0", use("3"), 80)
    assert "H100 1" in machine_line("box", "cuda:1", use("3,1"), 80)
    assert "H200 2" in machine_line("box", "cuda:2", use(None), 80)


def test_the_processor_has_the_memory_of_the_computer() -> None:
    assert machine_line("box", "cpu", use(None), 80).endswith("5.0 of 16 GB")
    assert machine_line("box", "cpu", use(None), 5) == ""
