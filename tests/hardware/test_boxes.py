"""Boxes with less than they should have: `auto`, `hardware` and `doctor` agree on what works and say what does not."""

from pathlib import Path
from typing import Any

import pytest

from tests.hardware.boxes import Box, gpu

A100 = gpu("NVIDIA A100", 30, 40, (8, 0))
BUSY_H100 = gpu("NVIDIA H100", 5, 80, (9, 0))
T4 = gpu("Tesla T4", 15, 16, (7, 5))
P100 = gpu("Tesla P100", 16, 16, (6, 0))


def findings(box: Box, about: str) -> list[dict[str, Any]]:
    return [one for one in box.command("doctor")["findings"] if one["about"] == about]


def check(box: Box, device: str, *words: str) -> None:
    """Everybody says `device`, and each of `words` stands in one line of `hardware` and of `doctor`."""
    hardware = box.command("hardware")
    assert box.resolve("auto") == hardware["device"] == device
    (told,) = findings(box, "device")
    assert told["sentence"].startswith(f"{device}: {hardware['why']}")
    lines = [one["sentence"] for one in findings(box, "GPU")] + [told["sentence"]]
    for word in words:
        assert any(word in line for line in (*hardware["unusable"], hardware["why"]))
        assert any(word in line for line in lines)


def test_a_driver_but_torch_without_cuda(tmp_path: Path) -> None:
    box = Box(tmp_path, [A100], torch_cuda=None, works=False)
    check(box, "cpu", "NVIDIA A100) cannot be used: torch 2.11.0 was built without CUDA; install a CUDA build")
    assert "was built without CUDA" in box.resolve("cuda")
    assert not box.command("doctor")["healthy"]


def test_torch_with_cuda_and_no_driver(tmp_path: Path) -> None:
    box = Box(tmp_path, [], driver=None, works=False)
    check(box, "cpu", "torch is built for CUDA 13.0, but no NVIDIA driver is installed")
    assert findings(box, "device")[0]["state"] == "note"


def test_a_driver_too_old_for_this_torch(tmp_path: Path) -> None:
    box = Box(tmp_path, [A100], driver="535.54", cuda=12020, works=False)
    check(box, "cpu", "its driver 535.54 serves CUDA up to 12.2 and torch 2.11.0 needs 13.0; update the driver")
    assert "update the driver" in box.resolve("cuda:0")


def test_within_a_major_version_a_driver_serves_every_cuda(tmp_path: Path) -> None:
    assert Box(tmp_path, [A100], driver="535.54", cuda=12020, torch_cuda="12.8").resolve("auto") == "cuda:0"


def test_a_chip_that_is_too_old(tmp_path: Path) -> None:
    box = Box(tmp_path, [P100], works=False)
    check(box, "cpu", "it has compute capability 6.0, and torch for CUDA 13.0 needs 7.5 or more")


def test_an_old_chip_that_this_torch_still_serves(tmp_path: Path) -> None:
    box = Box(tmp_path, [P100], driver="535.54", cuda=12020, torch_cuda="12.6")
    assert box.resolve("auto") == "cuda:0"
    assert "our kernels need 7.5" in findings(box, "GPU")[0]["sentence"]


def test_of_two_kinds_the_one_with_the_most_free_memory(tmp_path: Path) -> None:
    box = Box(tmp_path, [BUSY_H100, A100, T4])
    check(box, "cuda:1", "NVIDIA A100, 30.0 of 40.0 GB free: the most of 3 GPUs")
    assert box.resolve("cuda") == "cuda:0" and box.resolve("cuda:2") == "cuda:2"
    assert box.resolve("auto", CUDA_VISIBLE_DEVICES="2,0") == "cuda:0"
    assert box.resolve("auto", CUDA_VISIBLE_DEVICES="GPU-nvidia-h100,GPU-nvidia-a100") == "cuda:1"
    assert "hides every GPU" in box.command("hardware", CUDA_VISIBLE_DEVICES="")["why"]


def test_a_chip_without_bf16_computes_in_fp16(tmp_path: Path) -> None:
    box = Box(tmp_path, [T4])
    found = box.command("hardware")
    assert (found["device"], found["half"], found["bf16"]) == ("cuda:0", "fp16", False)


def test_of_two_kinds_one_of_which_is_too_old(tmp_path: Path) -> None:
    box = Box(tmp_path, [P100, T4])
    check(box, "cuda:1", "cuda:0 (Tesla P100) cannot be used", "Tesla T4, 15.0 of 16.0 GB free")
    assert box.command("doctor")["healthy"], "a note: there is another"


def test_a_device_in_parts(tmp_path: Path) -> None:
    part = gpu("NVIDIA A100 MIG 1g.5gb", 4, 5, (8, 0), instance=7) | {"uuid": "MIG-77"}
    box = Box(tmp_path, [A100 | {"parts": [part]}])
    check(box, "cuda:0", "MIG 1g.5gb, 4.0 of 5.0 GB free")
    assert box.resolve("auto", CUDA_VISIBLE_DEVICES="MIG-77") == "cuda:0"
    undivided = Box(tmp_path / "undivided", [A100 | {"parts": []}], works=False)
    check(undivided, "cpu", "it is in MIG mode and has no instance")


def test_a_device_that_fell_off_the_bus_takes_no_other_along(tmp_path: Path) -> None:
    check(Box(tmp_path, [BUSY_H100 | {"lost": True}, T4]), "cuda:0", "Tesla T4")


def test_torch_that_does_not_see_what_the_driver_lists(tmp_path: Path) -> None:
    box = Box(tmp_path, [A100], works=False)
    (told,) = findings(box, "device")
    assert told["state"] == "bad" and "torch does not see cuda:0" in told["sentence"]


@pytest.mark.parametrize("asked", ["cuda:5", "cuda"])
def test_what_is_not_there_is_refused(asked: str, tmp_path: Path) -> None:
    said = Box(tmp_path, [A100] if asked == "cuda:5" else []).resolve(asked)
    assert "this computer shows 1 GPU" in said or "no NVIDIA GPU is visible" in said
