"""Every screen and state at two sizes, dark and light, compared with the pictures in `__snapshots__`.

`pytest tests/tui/pictures --snapshot-update` draws them anew; look at them before they are committed.
"""

import shutil
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from pytest_textual_snapshot import SVGImageExtension
from syrupy.assertion import SnapshotAssertion

from loralab_core.catalog.pocket import POCKET, SAMPLE_CORPUS
from loralab_tui.app import Options, StudioApp
from loralab_tui.config import theme
from tests.tui.fake_engine import FakeEngine
from tests.tui.pictures.stage import PLACE, Stage, SteadyMeter, steady_room
from tests.tui.pictures.states import BUNDLED, EMPTY, MAIN, Lead

pytestmark = pytest.mark.xdist_group("pictures")  # they share one place in the file system

SIZES = {"80x24": (80, 24), "120x40": (120, 40)}
THEMES = {"dark": theme.DARK.name, "light": theme.LIGHT.name}
OPENED_AGAIN = {
    "palette",
    "themes",
}  # what they dim keeps the colours it had, and a list of themes shows the chosen one


@pytest.fixture
def place(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A model, a corpus and an empty home, always at the same place."""
    shutil.rmtree(PLACE, ignore_errors=True)
    model, work = PLACE / "models" / "tiny", PLACE / "work"
    for folder in (model, work, PLACE / "home"):
        folder.mkdir(parents=True)
    (model / "config.json").write_text("{}")
    (model / "model.safetensors").write_bytes(b"\0" * 1000)
    (work / "plays.txt").write_text("To be, or not to be.\n" * 50)
    monkeypatch.setenv("LORALAB_HOME", str(PLACE / "home"))
    monkeypatch.setenv("HF_HOME", str(PLACE / "hub"))
    monkeypatch.chdir(work)
    yield PLACE
    shutil.rmtree(PLACE, ignore_errors=True)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("name", [*EMPTY, *BUNDLED, *MAIN])
async def test_the_screen_looks_as_before(
    name: str, size: str, place: Path, engine: FakeEngine, snapshot: SnapshotAssertion
) -> None:
    """Dark, and then light: the way into the state is the longer part, and a theme may be chosen at any time."""
    lead: Lead = (EMPTY | BUNDLED | MAIN)[name]
    async with staged(name, SIZES[size], place, engine) as stage:
        for colours, chosen in THEMES.items():
            stage.app.theme = chosen
            if colours == "dark" or name in OPENED_AGAIN:
                await lead(stage)
            picture = await stage.still()
            assert picture == snapshot(extension_class=SVGImageExtension, name=f"{name}-{size}-{colours}")
            if name in OPENED_AGAIN:
                await stage.press("escape")


@asynccontextmanager
async def staged(name: str, size: tuple[int, int], place: Path, engine: FakeEngine) -> AsyncIterator[Stage]:
    """The app as the state called `name` begins."""
    chosen = {"model": str(place / "models/tiny"), "corpus": str(place / "work/plays.txt")}
    if name in BUNDLED:
        chosen = {"model": str(POCKET), "corpus": str(SAMPLE_CORPUS)}
    engine.run_dir = str(PLACE / "runs" / "king")
    engine.loaded = name != "loading"
    app = StudioApp(
        Options(host="box", **({} if name in EMPTY else chosen)),
        open_engine=engine.open,
        meter=SteadyMeter,
        find_room=steady_room,
    )
    async with app.run_test(size=size) as pilot:
        yield Stage(app, pilot, engine)
