"""What every test has: a LORALAB_HOME of its own, and no engine that outlives it."""

import gc
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

# Before anything imports torch: workers side by side, each with threads that spin, are slower by a factor of ten.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("LORALAB_MEASURE", "0")  # the fixed table of kernels: the same on every computer
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)  # or every process a test starts would compile all it imports

# Under nohup, or behind a shell's &, the tests' own processes would inherit deafness, and none could be interrupted.
signal.signal(signal.SIGHUP, signal.SIG_DFL)
signal.signal(signal.SIGINT, signal.default_int_handler)

ROOT = Path(__file__).parents[1]
FIXTURES = ROOT.parent / "shared" / "fixtures"


def pytest_sessionstart(session: pytest.Session) -> None:
    """Kernels are compiled once, beside the package, and not again in the empty home of every test."""
    if not hasattr(session.config, "workerinput"):
        subprocess.run([sys.executable, "-m", "loralab_core.ops.native"], cwd=ROOT, check=False)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The slow ones first: one that began last would leave the other workers with nothing to do."""
    items.sort(key=lambda item: item.get_closest_marker("slow") is None)


def pytest_collection_finish() -> None:
    """What is imported by now stays to the end: without this the collector walks it again and again, a fifth of a
    second each time."""
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session")
def fixtures_dir() -> Path:
    """Real models, tokenizers, adapters and corpora, kept beside the repository."""
    if not FIXTURES.is_dir():
        pytest.skip(
            f"needs the shared fixtures (../shared/fixtures beside the repository), which are not at {FIXTURES}"
        )
    return FIXTURES


@pytest.fixture(autouse=True)
def home(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An empty LORALAB_HOME; engines that a test starts there end with the test."""
    place = tmp_path_factory.mktemp("home")
    monkeypatch.setenv("LORALAB_HOME", str(place))
    monkeypatch.setenv("LORALAB_ENGINE_IDLE_S", "60")
    yield place
    _end_engines()


def _end_engines() -> None:
    from loralab_core.wire.registry import list_engines, unregister

    for record in list_engines():
        if record.process.is_here and record.process.pid != os.getpid():
            with suppress(psutil.NoSuchProcess):
                process = psutil.Process(record.process.pid)
                process.kill()
                process.wait(10)
        unregister(record.key)
