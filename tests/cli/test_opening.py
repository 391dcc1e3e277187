"""What a command says while it opens a model."""

import argparse

import pytest

from loralab_core.cli.opening import open_model
from loralab_core.paths import quantised_dir


def test_a_kept_copy_that_was_damaged_is_said_once(capsys: pytest.CaptureFixture[str]) -> None:
    asked = argparse.Namespace(model="pocket", base="int8", device="cpu", compute="auto", threads=None, adapter=None)
    open_model(asked)
    assert "damaged" not in capsys.readouterr().err
    (kept,) = quantised_dir().glob("*.safetensors")
    content = bytearray(kept.read_bytes())
    content[-1] ^= 1
    kept.write_bytes(content)
    open_model(asked)
    assert capsys.readouterr().err.count("what was kept of it on disk was damaged") == 1
