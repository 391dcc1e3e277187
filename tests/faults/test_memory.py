"""Memory that really runs out: a limit on the engine's address space, under which a large pass does not fit."""

import resource
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from loralab_core.runs.directory import find_run
from loralab_core.runs.events import Event, read
from tests.engine.driving import ask, connect, end_engine, events_of, loralab, small_training, the_engine
from tests.engine.homes import home  # noqa: F401

pytestmark = [
    pytest.mark.xdist_group("faults"),
    pytest.mark.skipif(not sys.platform.startswith("linux"), reason="limits of another process are Linux only"),
]

LARGE = {"seq_len": 128, "batch": 64, "steps": 2, "lr": 0.005}  # whose passes take some 400 MB
ROOM = 150 << 20  # bytes


@contextmanager
def memory_for(size: int) -> Iterator[None]:
    """The engine can map `size` bytes more than it has mapped."""
    engine = psutil.Process(the_engine().process.pid)
    _, most = engine.rlimit(psutil.RLIMIT_AS)
    engine.rlimit(psutil.RLIMIT_AS, (engine.memory_info().vms + size, most))
    try:
        yield
    finally:
        engine.rlimit(psutil.RLIMIT_AS, (resource.RLIM_INFINITY, most))


def opened(fixtures: Path) -> None:
    """An engine that has read the model and trained a step of few windows."""
    loralab(*small_training(fixtures, **LARGE | {"steps": 1, "batch": 1, "micro_batch": 1}))


def trained(fixtures: Path, code: int = 0, **options: object) -> list[Event]:
    out, _ = loralab(*small_training(fixtures, **LARGE | options), "--json", code=code)
    return events_of(out)


def losses(events: list[Event]) -> list[float]:
    return [event["loss"] for event in events if event["event"] == "step"]


def test_the_sentence_names_settings_that_fit_and_the_engine_goes_on(fixtures_dir: Path) -> None:
    opened(fixtures_dir)
    engine = the_engine().process.pid
    with memory_for(ROOM):
        failed = trained(fixtures_dir, code=1, micro_batch=64)[-1]
        assert failed["event"] == "failed" and failed["kind"] == "failed"
        assert "out of memory in step 1" in failed["why"] and "--micro-batch" in failed["why"]
        assert failed == read(find_run(failed["run"]).events_path)[-1] | failed
        for remedy in (failed["remedies"][0], failed["remedies"][-1]):  # each by itself, as the sentence says
            assert trained(fixtures_dir, **{"micro_batch": 64} | remedy)[-1]["event"] == "done"
        with connect() as client:
            assert ask(client, "Once upon a time", speaker="base").ended
    assert the_engine().process.pid == engine


def test_smaller_micro_batches_train_what_a_run_that_had_them_trains(fixtures_dir: Path) -> None:
    opened(fixtures_dir)
    end_engine(signal.SIGTERM)  # the heap of a new one is not grown yet
    opened(fixtures_dir)
    with memory_for(ROOM):
        events = trained(fixtures_dir, micro_batch=64, set="shrink_micro_batch=true")
    assert events[-1]["event"] == "done"
    found = [event["micro_batch"] for event in events if event["event"] == "changed"][-1]
    said = [event["sentence"] for event in events if event["event"] == "warning"]
    assert found < 64 and f"computed with {found}" in said[-1]
    plain = trained(fixtures_dir, micro_batch=found)
    assert losses(events) == pytest.approx(losses(plain), rel=1e-5)
