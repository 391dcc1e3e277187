"""A fake engine to connect to, and the app on it."""

import gc
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from loralab_tui.app import Options, StudioApp
from tests.tui.fake_engine import FakeEngine

SELDOM = (20_000, 20, 50)  # new objects until they are looked at, and how often more than the newest are


@pytest.fixture(autouse=True)
def seldom_collected() -> Iterator[None]:
    """A screen makes objects by the thousand, most of which stay as long as it does."""
    usual = gc.get_threshold()
    gc.set_threshold(*SELDOM)
    yield
    gc.set_threshold(*usual)


@pytest.fixture
def socket_place() -> Iterator[Path]:
    """Unix sockets want short paths, which pytest's own directories are not."""
    with tempfile.TemporaryDirectory(prefix="ll-") as place:
        yield Path(place) / "s"


@pytest.fixture
async def engine(socket_place: Path) -> AsyncIterator[FakeEngine]:
    async with FakeEngine(socket_place) as running:
        yield running


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """A directory that looks like a model as far as the screen looks."""
    place = tmp_path / "models" / "tiny"
    place.mkdir(parents=True)
    (place / "config.json").write_text("{}")
    (place / "model.safetensors").write_bytes(b"\0" * 1000)
    return place


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    path = tmp_path / "corpus.txt"
    path.write_text("To be, or not to be.\n" * 50)
    return path


@pytest.fixture
def app(engine: FakeEngine, model: Path, corpus: Path) -> StudioApp:
    """With model and corpus given, as from the command line."""
    return StudioApp(Options(model=str(model), corpus=str(corpus), host="box"), open_engine=engine.open)
