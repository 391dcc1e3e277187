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
