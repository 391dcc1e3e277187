"""Memory that really runs out: a limit on the engine's address space, under which a large pass does not fit."""

import resource
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from loralab_core.runs.directory import find_run
from loralab_core.runs.events import Event, read
from loralab_core.wire.registry import list_engines
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
    """A new engine, whose heap has not grown yet, that has read the model and trained a step of few windows."""
    if list_engines():
        end_engine(signal.SIGTERM)
    loralab(*small_training(fixtures, **LARGE | {"steps": 1, "batch": 1, "micro_batch": 1}))


def trained(fixtures: Path, code: int = 0, **options: object) -> list[Event]:
    out, _ = loralab(*small_training(fixtures, **LARGE | options), "--json", code=code)
    return events_of(out)


def losses(events: list[Event]) -> list[float]:
    return [event["loss"] for event in events if event["event"] == "step"]


@pytest.mark.slow
def test_smaller_micro_batches_train_what_a_run_that_had_them_trains(fixtures_dir: Path) -> None:
    """Without dropout: its masks are drawn for a micro-batch, and how often it is halved depends on the heap."""
    opened(fixtures_dir)
    with memory_for(ROOM):
        events = trained(fixtures_dir, micro_batch=64, dropout=0, set="shrink_micro_batch=true")
    assert events[-1]["event"] == "done"
    found = [event["micro_batch"] for event in events if event["event"] == "changed"][-1]
    said = [event["sentence"] for event in events if event["event"] == "warning"]
    assert found < 64 and f"computed with {found}" in said[-1]
    plain = trained(fixtures_dir, micro_batch=found, dropout=0)
    assert losses(events) == pytest.approx(losses(plain), rel=1e-5)


@pytest.mark.slow
def test_the_sentence_names_settings_that_fit_and_the_engine_goes_on(fixtures_dir: Path) -> None:
    opened(fixtures_dir)
    engine = the_engine().process.pid
    with memory_for(ROOM):
        failed = trained(fixtures_dir, code=1, micro_batch=64)[-1]
        assert failed["event"] == "failed" and failed["kind"] == "failed"
        assert "out of memory in step" in failed["why"] and "--micro-batch" in failed["why"]
        assert failed == read(find_run(failed["run"]).events_path)[-1] | failed
        remedy = failed["remedies"][0]
        assert trained(fixtures_dir, **{"micro_batch": 64} | remedy)[-1]["event"] == "done"
        with connect() as client:
            assert ask(client, "Once upon a time", speaker="base").ended
    assert the_engine().process.pid == engine


READS = """
import resource, sys
import psutil
from loralab_core.cli.main import main
from loralab_core.lora import load
load(sys.argv[1], "fp32", "cpu")
resource.setrlimit(resource.RLIMIT_AS, (psutil.Process().memory_info().vms + (6 << 20), -1))
sys.exit(main(["generate", "--model", sys.argv[2], "--base", "fp32", "--device", "cpu", "--prompt", "Once"]))
"""


def test_a_model_that_does_not_fit_is_refused_with_bases_that_would(fixtures_dir: Path) -> None:
    """12 MB of weights, 6 MB for them."""
    small, large = (str(fixtures_dir / "models" / name) for name in ("stories260K", "stories3M"))
    told = subprocess.run([sys.executable, "-c", READS, small, large], capture_output=True, text=True, timeout=60)
    assert told.returncode == 1 and "Traceback" not in told.stderr
    assert "out of memory while reading stories3M: in fp32 it takes 13 MB" in told.stderr
    assert "--base int8 or --base nf4 would fit" in told.stderr
