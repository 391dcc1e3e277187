"""A tiny Llama, as a directory and opened."""

from pathlib import Path

import pytest

from loralab_core.lora import LoadedModel, load
from tests.models.checkpoints import llama, save


@pytest.fixture
def base(tmp_path: Path) -> Path:
    return save(llama(), tmp_path / "base")


@pytest.fixture
def lm(base: Path) -> LoadedModel:
    return load(base, "fp32", "cpu")
