"""What training loses to products in 8 bits."""

from pathlib import Path

import pytest

import loralab_core as ll
from tests.training.small_runs import losses, small


def test_training_in_8_bits_ends_where_training_in_16_does(fixtures_dir: Path) -> None:
    settings = {"model": str(fixtures_dir / "models" / "stories3M"), "base": "nf4", "rank": 8, "alpha": 16.0}
    length = {"lr": 1e-3, "steps": 60, "save_every": 60, "val": 0.1}
    ends = {}
    for compute in ("w4a16", "w4a8"):
        config = small(fixtures_dir, compute=compute, **settings, **length)
        events = list(ll.train(config))
        course = losses(events)
        assert course[-1] < course[0] / 1.5
        ends[compute] = [sum(course[-10:]) / 10, losses(events, "eval")[-1]]
    assert ends["w4a8"] == pytest.approx(ends["w4a16"], rel=0.01)
