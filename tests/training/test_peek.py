"""The batch trained last, as its trainer saw it: whole windows, with what is trained told apart."""

import json
from pathlib import Path

import pytest

from loralab_core.errors import BadInput
from loralab_core.lora import load
from loralab_core.runs.directory import create_run
from loralab_core.training import Training
from tests.training.small_runs import small


def test_windows_of_the_last_step_with_their_loss_mask(fixtures_dir: Path) -> None:
    corpus = fixtures_dir / "corpora" / "instruction-data.alpaca-format.json"
    config = small(fixtures_dir, corpus=(str(corpus),), steps=3, seq_len=256, val=0)
    training = Training(create_run(config), load(config.model, "fp32", "cpu"))
    with pytest.raises(BadInput, match="has not trained a batch yet"):
        training.last_batch(4)
    seen = []
    for event in training.events():
        if event["event"] == "step":
            step, rows = training.last_batch(4)
            assert step == event["step"] and len(rows) == 4 and len(training.last_batch(1)[1]) == 1
            seen.append(rows)
    assert seen[0] != seen[1] != seen[2]
    outputs = [row["output"] for row in json.loads(corpus.read_text())]
    for row in seen[-1]:
        assert {trained for _, trained in row} == {True, False}
        assert all(one != other for (_, one), (_, other) in zip(row, row[1:], strict=False))
        answers = [text.strip() for text, trained in row if trained]
        assert all(any(answer.startswith(output.strip()) for output in outputs) for answer in answers[:-1])


def test_long_windows_are_cut_for_the_eye(fixtures_dir: Path) -> None:
    config = small(fixtures_dir, steps=1, seq_len=512, batch=1, micro_batch=1)
    training = Training(create_run(config), load(config.model, "fp32", "cpu"))
    for event in training.events():
        if event["event"] == "step":
            _, (row,) = training.last_batch(9)
            text = "".join(text for text, _ in row)
            assert 0 < len(text) <= 4000 and row[-1][1]
