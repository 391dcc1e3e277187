"""A run on a quantised base: its kernels are recorded, and going on keeps to them."""

from pathlib import Path

import pytest

import loralab_core as ll
from loralab_core.lora import load
from loralab_core.ops.native import choice
from loralab_core.ops.native.library import native
from loralab_core.runs.directory import create_run
from loralab_core.training import resume
from tests.training.small_runs import adapter_bytes, small, stopped_after


def test_a_resumed_run_multiplies_on_the_paths_it_began_with(
    fixtures_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = small(fixtures_dir, base="nf4", save_every=2, steps=4)
    whole = list(ll.train(config))
    run = create_run(config)
    stopped_after(load(config.model, "nf4", "cpu"), run, 2)
    prepared = run.record().prepared
    assert prepared is not None and prepared["environment"]["kernels"] == str(native())
    assert prepared["paths"] == choice.table_in_use()
    other = {name: ["gemm"] * choice.BUCKETS for name in choice.classes()}  # as if measured anew meanwhile
    monkeypatch.setattr(choice, "fixed", lambda active: other)
    choice.use_table(None)
    events = list(resume(run))
    assert choice.table_in_use() == prepared["paths"]
    assert not [event for event in events if event["event"] == "warning"]
    assert adapter_bytes(events[-1]) == adapter_bytes(whole[-1])
    choice.use_table(None)
