"""The screen while the engine's part of the installation is still under way: told, waited for, begun again."""

import asyncio
import fcntl
import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from loralab_core.errors import LoraLabError
from loralab_core.wire import messages as wire
from loralab_tui.app import Options, StudioApp
from loralab_tui.engine.installing import LOCK, PROGRESS, Install, begin_again, look
from tests.tui.driving import ready, shown, toasts, type_line, until
from tests.tui.fake_engine import FakeEngine

HALF_WAY = {"state": "downloading", "what": "PyTorch 2.13", "done": 68_080_000, "total": 184_000_000}
TELLS = 'import sys, pathlib; pathlib.Path(sys.argv[1]).write_text(\'{"state": "done"}\')'


class Environment:
    """A .venv in which somebody installs, as long as the lock is held."""

    def __init__(self, place: Path) -> None:
        self.place = place
        place.mkdir()
        self.descriptor: int | None = os.open(place / LOCK, os.O_RDWR | os.O_CREAT)
        fcntl.flock(self.descriptor, fcntl.LOCK_EX)

    def tell(self, **said: Any) -> None:
        (self.place / PROGRESS).write_text(json.dumps(said))

    def end(self) -> None:
        if self.descriptor is not None:
            os.close(self.descriptor)
            self.descriptor = None


@pytest.fixture
def environment(tmp_path: Path) -> Iterator[Environment]:
    environment = Environment(tmp_path / "venv")
    environment.tell(**HALF_WAY)
    yield environment
    environment.end()


@pytest.fixture
def app(engine: FakeEngine, model: Path, corpus: Path, environment: Environment) -> StudioApp:
    options = Options(model=str(model), corpus=str(corpus), host="box", environment=environment.place)
    return StudioApp(options, open_engine=engine.open)


# ---- what the file says


def test_bytes_are_said_in_percent(environment: Environment) -> None:
    install = look(environment.place)
    assert install is not None
    assert install.sentence == "Installing the engine: PyTorch 2.13, 37% of 184 MB"
    assert install.short == "Installing 37%"


def test_a_phase_without_bytes_is_said_in_words(environment: Environment) -> None:
    environment.tell(state="unpacking", what="PyTorch")
    install = look(environment.place)
    assert install is not None and install.sentence == "Installing the engine: PyTorch, unpacking"


def test_where_nothing_is_installed_there_is_nothing_to_wait_for(environment: Environment, tmp_path: Path) -> None:
    assert look(tmp_path / "elsewhere") is None
    environment.tell(state="done")
    assert look(environment.place) is None
    (environment.place / PROGRESS).write_text("no json")
    assert look(environment.place) is None


def test_an_installer_that_was_killed_is_noticed(environment: Environment) -> None:
    environment.end()
    install = look(environment.place)
    assert install is not None and install.failed and "cut short" in install.why


def test_a_retry_that_cannot_begin_says_what_works(tmp_path: Path) -> None:
    for again in ((), (str(tmp_path / "no-python"),)):
        with pytest.raises(LoraLabError, match="make setup"):
            begin_again(Install("failed", again=again, log=str(tmp_path / "log")))


# ---- on the screen


async def test_the_card_and_the_button_say_how_far_it_is_and_the_model_opens_by_itself(
    app: StudioApp, engine: FakeEngine, environment: Environment
) -> None:
    async with app.run_test(size=(120, 40)) as pilot:
        await until(pilot, lambda: app.studio.corpus and app.studio.model, "both are chosen all the same")
        app.main.show()
        await pilot.pause()
        card = shown(app, "#card")
        assert "PyTorch 2.13, 37% of 184 MB" in card and "━" in card
        assert "37% of 184 MB" in shown(app, "#welcome"), "where the training side is a tab of its own"
        assert "Installing 37%" in shown(app, "#chip-train") and app.main.query_one("#chip-train").has_class("-idle")
        assert engine.asked == [], "no engine is started that could not run"
        environment.tell(state="done")
        environment.end()
        await ready(app, pilot)
        assert "Ready" in shown(app, "#card") and "F2 Train" in shown(app, "#chip-train")


async def test_train_and_chat_refuse_with_the_same_sentence_and_keep_the_question(
    app: StudioApp, engine: FakeEngine
) -> None:
    async with app.run_test(size=(120, 40)) as pilot:
        await until(pilot, lambda: app.studio.corpus and app.studio.model, "both are chosen")
        await pilot.press("f2")
        await until(pilot, lambda: any("37% of 184 MB" in said for said in toasts(app)), "told")
        assert len(toasts(app)) == 1
        await type_line(pilot, "who is there")
        await until(pilot, lambda: app.main.chat.prompt.text == "who is there", "the question is given back")
        assert "37% of 184 MB" in app.main.chat.transcript.messages[-1].note
        assert not [request for request in engine.asked if isinstance(request, wire.Train | wire.Generate)]


def answer_and_be_a_file(pipe: Path, content: str) -> None:
    """Who reads the pipe gets `content`; who looks again finds an ordinary file, or he would wait for ever."""
    beside = pipe.with_name("beside")
    beside.write_text(content)
    with pipe.open("w") as answer:
        beside.replace(pipe)
        answer.write(content)


async def test_a_disk_that_takes_its_time_holds_up_no_key(app: StudioApp, environment: Environment) -> None:
    told = environment.place / PROGRESS
    told.unlink()
    os.mkfifo(told)  # reading it takes until somebody writes
    async with app.run_test(size=(120, 40)) as pilot:
        try:
            await pilot.press("f1")
            await until(pilot, lambda: app.screen is not app.main, "the help is there")
            assert app.studio.install is None and app.studio.model is None, "nothing is known yet"
        finally:
            await asyncio.to_thread(answer_and_be_a_file, told, json.dumps(HALF_WAY))
        await until(pilot, lambda: app.studio.install is not None and app.studio.model, "it is known")


@pytest.mark.parametrize("key", ["f1", "f4", "f5", "f6", "f7", "f10"])
async def test_everything_else_works_meanwhile(app: StudioApp, key: str) -> None:
    async with app.run_test(size=(120, 40)) as pilot:
        await until(pilot, lambda: app.studio.corpus and app.studio.model, "both are chosen")
        await pilot.press(key)
        await until(pilot, lambda: app.screen is not app.main, f"{key} opened its dialog")
        assert toasts(app) == []


async def test_a_failure_says_why_and_f2_tries_again(app: StudioApp, environment: Environment, tmp_path: Path) -> None:
    again = [sys.executable, "-c", TELLS, str(environment.place / PROGRESS)]
    log = str(tmp_path / "engine-install.log")
    environment.tell(state="failed", why="No space left on device", log=log, again=again)
    environment.end()
    async with app.run_test(size=(120, 40)) as pilot:
        await until(pilot, lambda: "No space left on device" in shown(app, "#card"), "the reason")
        flat = "".join(shown(app, "#card").split())
        assert "".join(log.split()) in flat and "F2triesagain" in flat and "makesetup" in flat
        assert "F2 Install again" in shown(app, "#chip-train")
        await pilot.press("f2")
        await ready(app, pilot)
        assert toasts(app) == []
