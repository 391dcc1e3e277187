"""Quantised matrices in a file: what comes back is what was saved, and anything wrong is told by its name."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from loralab_core.errors import BadInput
from loralab_core.quant import QuantTensor, load_quantized, quantize, save_quantized
from loralab_core.quant.file import KEY


@pytest.fixture
def weight() -> torch.Tensor:
    return torch.randn(37, 150, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("how", [("nf4", 64, False), ("int4", 32, False), ("int4", 128, True), ("int8", 64, False)])
def test_what_comes_back_is_what_was_saved(how: tuple[Any, int, bool], weight: torch.Tensor, tmp_path: Path) -> None:
    kind, group, zero_points = how
    saved = quantize(weight, kind, group, zero_points=zero_points)
    beside = {"gain": torch.randn(5).bfloat16(), "empty": torch.empty(0, 3)}
    save_quantized(tmp_path / "x.safetensors", {"w": saved, **beside})
    found = load_quantized(tmp_path / "x.safetensors")
    read = found.pop("w")
    assert isinstance(read, QuantTensor) and (read.kind, read.shape, read.group) == (kind, (37, 150), saved.group)
    assert read.tensors().keys() == saved.tensors().keys()
    assert all(torch.equal(tensor, getattr(saved, name)) for name, tensor in read.tensors().items())
    assert torch.equal(read.dequantize(), saved.dequantize())
    assert found.keys() == beside.keys() and all(torch.equal(found[name], beside[name]) for name in beside)


def test_the_library_reads_it_too(weight: torch.Tensor, tmp_path: Path) -> None:
    saved = quantize(weight, "nf4")
    save_quantized(tmp_path / "x.safetensors", {"w": saved})
    assert torch.equal(load_file(tmp_path / "x.safetensors")["w.codes"], saved.codes)


def broken(tmp_path: Path, **changes: torch.Tensor | None) -> Path:
    """A file with other tensors than its metadata tells of, checksums included; None leaves one out."""
    place = tmp_path / "x.safetensors"
    save_quantized(place, {"w": quantize(torch.randn(32, 128), "nf4")})
    tensors, metadata = load_file(place), said(place)
    for name, tensor in changes.items():
        del tensors[f"w.{name}"]
        if tensor is not None:
            tensors[f"w.{name}"] = tensor
    save_file(tensors, place)
    sums = summed(place)
    metadata["crc32"] = sums
    save_file(tensors, place, metadata={KEY: json.dumps(metadata)})
    return place


def said(place: Path) -> dict[str, Any]:
    raw = place.read_bytes()
    header = json.loads(raw[8 : 8 + int.from_bytes(raw[:8], "little")])
    found: dict[str, Any] = json.loads(header["__metadata__"][KEY])
    return found


def summed(place: Path) -> dict[str, int]:
    import zlib

    return {name: zlib.crc32(tensor.numpy().tobytes()) for name, tensor in load_file(place).items()}


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"codes": torch.zeros(32, 64, dtype=torch.int8)}, r"w\.codes is torch\.int8 .* torch\.uint8 \[32, 64\]"),
        ({"scales": torch.zeros(32, 3, dtype=torch.uint8)}, r"w\.scales is torch\.uint8 \[32, 3\]"),
        ({"steps": torch.zeros(1, 2)}, r"w\.steps is torch\.float32 \[1, 2\] where torch\.float32 \[2, 2\] belongs"),
        ({"codebook": None}, r"w\.codebook is missing"),
    ],
)
def test_parts_that_do_not_fit(changes: dict[str, torch.Tensor | None], sentence: str, tmp_path: Path) -> None:
    place = broken(tmp_path, **changes)
    with pytest.raises(BadInput, match=f"{place}: {sentence}"):
        load_quantized(place)


def test_one_flipped_bit_is_found(weight: torch.Tensor, tmp_path: Path) -> None:
    place = tmp_path / "x.safetensors"
    save_quantized(place, {"w": quantize(weight, "nf4")})
    raw = bytearray(place.read_bytes())
    raw[-1] ^= 4
    place.write_bytes(raw)
    with pytest.raises(BadInput, match=r"w\.\w+ is not what was written"):
        load_quantized(place)


def test_a_file_cut_short(weight: torch.Tensor, tmp_path: Path) -> None:
    place = tmp_path / "x.safetensors"
    save_quantized(place, {"w": quantize(weight, "nf4")})
    place.write_bytes(place.read_bytes()[:-10])
    with pytest.raises(BadInput, match=f"{place} is damaged or cut short"):
        load_quantized(place)


def test_other_files_are_refused(tmp_path: Path) -> None:
    place = tmp_path / "x.safetensors"
    with pytest.raises(BadInput, match=str(place)):
        load_quantized(place)
    save_file({"w": torch.zeros(2)}, place)
    with pytest.raises(BadInput, match=f"{place} holds no quantised matrices"):
        load_quantized(place)
    save_file({"w": torch.zeros(2)}, place, metadata={KEY: '{"version": "one"}'})
    with pytest.raises(BadInput, match=f"{place}: its metadata is damaged"):
        load_quantized(place)
    save_file({"w": torch.zeros(2)}, place, metadata={KEY: '{"version": 9, "matrices": {}, "crc32": {}}'})
    with pytest.raises(BadInput, match="version 9"):
        load_quantized(place)
