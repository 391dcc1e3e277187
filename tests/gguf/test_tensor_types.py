"""What each tensor type means, in every precision, however the tensor is cut into pieces."""

from pathlib import Path

import numpy as np
import pytest
import torch

from loralab_core.gguf import read_gguf
from loralab_core.models.gguf_weights import BLOCKS, read_into
from tests.gguf.writer import Written, meaning, random_blocks, stored, write

SHAPE = (6, 96)
DTYPES = [torch.float32, torch.bfloat16]


def of_type(kind: str) -> Written:
    if kind.startswith("Q"):
        return random_blocks(kind, SHAPE)
    return stored(np.random.default_rng(3).normal(0, 1, SHAPE), kind)


def read(path: Path, dtype: torch.dtype, name: str = "x") -> torch.Tensor:
    info = read_gguf(path).tensors[name]
    found = torch.empty(info.shape, dtype=dtype)
    with open(path, "rb") as file:
        read_into(found, file, info)
    return found


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("kind", ["F32", "F16", "BF16", "Q8_0", "Q4_0", "Q4_1"])
def test_every_type_means_what_its_formula_says(kind: str, dtype: torch.dtype, tmp_path: Path) -> None:
    written = of_type(kind)
    path = write(tmp_path / "x.gguf", {}, {"before": stored(np.zeros(7)), "x": written})
    expected = torch.tensor(meaning(written), dtype=torch.float64).view(SHAPE)
    found = read(path, dtype)
    assert found.dtype == dtype and found.shape == SHAPE
    allowed = expected.abs().max() * (2**-22 if dtype == torch.float32 else 2**-8)
    assert (found.double() - expected).abs().max() <= allowed


@pytest.mark.parametrize("kind", ["F16", "Q8_0", "Q4_0", "Q4_1"])
def test_pieces_make_the_same_tensor(kind: str, tmp_path: Path) -> None:
    """One that is read in several pieces, the last of them smaller, repeats one that is read in one."""
    small = of_type(kind)
    times = BLOCKS * 32 * 5 // 2 // (6 * 96)
    large = kind, (6 * times, 96), small[2] * times
    path = write(tmp_path / "x.gguf", {}, {"x": small, "large": large})
    assert torch.equal(read(path, torch.float32, "large"), read(path, torch.float32).repeat(times, 1))


def test_other_alignments_and_the_older_version(tmp_path: Path) -> None:
    written = of_type("Q4_0")
    tensors = {"before": stored(np.zeros(3)), "x": written}
    first = write(tmp_path / "a.gguf", {"general.alignment": 256}, tensors)
    second = write(tmp_path / "b.gguf", {}, tensors, version=2)
    assert read_gguf(first).tensors["x"].offset % 256 == 0
    assert torch.equal(read(first, torch.float32), read(second, torch.float32))
