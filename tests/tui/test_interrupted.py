"""Coming back to a run whose end nobody saw: interrupted, or trained where it cannot be followed."""

from collections.abc import Callable

import msgspec
import pytest

from loralab_core.processes import Identity, identify
from loralab_core.runs.directory import RunDirectory
from loralab_tui.app import Options, StudioApp
from loralab_tui.runs.seen import remember
from tests.runs.writing import write
from tests.tui.driving import shown, until
from tests.tui.fake_engine import FakeEngine
from tests.tui.made_runs import made_run, made_steps

FAR = Identity(pid=12, host="gpu-7", started=0.0)


def held_by(run: RunDirectory, writer: Identity) -> None:
    run.identity_path.write_bytes(msgspec.json.encode(writer))
    run.owner_path.write_text(f"{writer.pid}\n")


def card(app: StudioApp) -> str:
    return " ".join(shown(app, "#card").split())


@pytest.mark.parametrize("size", [(120, 40), (80, 24)])
async def test_one_whose_engine_was_killed_was_interrupted_and_goes_on(
    engine: FakeEngine, size: tuple[int, int]
) -> None:
    run = made_run(30, end=None, total=60)
    app = StudioApp(Options(attach=str(run.path), host="box"), open_engine=engine.open)
    async with app.run_test(size=size) as pilot:
        await until(pilot, lambda: "Interrupted" in card(app))
        assert "while nobody looked" in card(app) and "F2 goes on from step 30" in card(app)
        await until(pilot, lambda: app.studio.status)
        await pilot.press("f2")
        await until(pilot, lambda: engine.run == str(run.path))


async def test_the_card_of_what_happened_meanwhile_says_so_too(engine: FakeEngine) -> None:
    run = made_run(30, end=None, total=60)
    remember(str(run.path), 12)
    write(run, *made_steps(31, 50))
    app = StudioApp(Options(attach=str(run.path), host="box"), open_engine=engine.open)
    async with app.run_test(size=(120, 40)) as pilot:
        await until(pilot, lambda: "While you were away" in card(app) and "F2 goes on from step 30" in card(app))
        assert "Interrupted" in card(app) and "foresaw" not in card(app)


@pytest.mark.parametrize(
    ("writer", "title", "then"),
    [
        (lambda: FAR, "Trained on gpu-7", "If it is over, remove"),
        (identify, "Trained by another program", "once that process has ended"),
    ],
    ids=["on another computer", "by another program"],
)
async def test_one_that_another_trains_is_not_called_interrupted(
    engine: FakeEngine, writer: Callable[[], Identity], title: str, then: str
) -> None:
    run = made_run(30, end=None, total=60)
    held_by(run, writer())
    app = StudioApp(Options(attach=str(run.path), host="box"), open_engine=engine.open)
    async with app.run_test(size=(120, 40)) as pilot:
        await until(pilot, lambda: title in card(app))
        assert then in card(app) and "F2 goes on from step 30" in card(app)
        assert app.studio.run is not None and app.studio.run.step == 30
        await pilot.resize_terminal(80, 24)  # where the chat has the screen to itself
        await until(pilot, lambda: title in shown(app, "#training-strip"))


async def test_an_engine_that_is_gone_later_is_not_taken_for_the_other_writer(engine: FakeEngine) -> None:
    run = made_run(30, end=None, total=60)
    held_by(run, FAR)
    app = StudioApp(Options(attach=str(run.path), host="box"), open_engine=engine.open)
    async with app.run_test(size=(120, 40)) as pilot:
        await until(pilot, lambda: app.studio.status and "Trained on gpu-7" in card(app))
        run.owner_path.unlink()
        await pilot.press("f2")
        await until(pilot, lambda: engine.run == str(run.path))
        engine.steps(31, 32)
        await until(pilot, lambda: app.studio.run and app.studio.run.step == 32)
        await engine.die()
        await until(pilot, lambda: "The engine is gone" in card(app))
