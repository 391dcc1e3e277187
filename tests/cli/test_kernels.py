"""`loralab kernels`."""

import json

import pytest

from loralab_core.cli.main import main


def test_it_says_what_runs_in_words_and_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["kernels"]) == 0
    assert capsys.readouterr().out.startswith("kernels  ")
    assert main(["kernels", "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert set(facts["paths"]) == {"rows", "float32", "bf16", "int8"}
    assert facts["isa"] == "reference" or facts["table"]["w4a16 bf16 forward large"]


def test_a_mac_shows_what_its_gpu_has(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    from loralab_core.ops.metal import library

    found = library.Metal(("quant_matmul", "rotary"), ("rows",), ("Metal's tiles is switched off: it is off by 3",))
    monkeypatch.setattr(library, "is_here", lambda: True)
    monkeypatch.setattr(library, "_active", found)
    assert main(["kernels"]) == 0
    assert capsys.readouterr().out.endswith("Metal         quant_matmul, rotary; products by rows\n")
    assert main(["kernels", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["metal"]["paths"] == ["rows"]
