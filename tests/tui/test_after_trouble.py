"""After a failure: what F2, F6 and a question do then, and that the card says it."""

import pytest

from loralab_core.wire import messages as wire
from loralab_tui.app import StudioApp
from loralab_tui.engine import oom
from loralab_tui.runs.view import Phase
from loralab_tui.states.trouble import before_training, trouble
from tests.tui.driving import asked, ready, shown, training, type_line, until
from tests.tui.fake_engine import FakeEngine

OUT_OF_MEMORY = "out of memory; try a smaller --micro-batch, a shorter --seq-len, or --set checkpoint_activations=true"
DISK_FULL = "the result could not be written to /r (No space left on device); free some space"


def said(app: StudioApp) -> str:
    return " ".join(shown(app, "#card").split())


async def failed(app: StudioApp, pilot, engine: FakeEngine, why: str) -> None:
    engine.event(event="failed", run=engine.run, why=why, kind="failed", steps=20)
    engine.run = None
    await until(pilot, lambda: app.studio.run and app.studio.run.phase is Phase.FAILED)
    app.main.show()


async def test_a_failure_that_needs_no_other_settings_is_taken_up_at_its_checkpoint(
    app: StudioApp, engine: FakeEngine
) -> None:
    async with app.run_test(size=(120, 40)) as pilot:
        await training(app, pilot, engine)
        engine.event(event="checkpoint", step=20)
        run = engine.run
        await failed(app, pilot, engine, DISK_FULL)
        assert "then F2 goes on from step 20" in said(app) and "F2 Resume" in shown(app, "#chip-train")
        await pilot.press("f2")
        await until(pilot, lambda: engine.run == run, "it is resumed")
        assert len([one for one in engine.asked if isinstance(one, wire.Train)]) == 1


async def test_a_failure_without_a_checkpoint_begins_again_and_says_so(app: StudioApp, engine: FakeEngine) -> None:
    async with app.run_test(size=(120, 40)) as pilot:
        await training(app, pilot, engine)
        await failed(app, pilot, engine, DISK_FULL)
        assert "F2 begins again: no checkpoint" in said(app) and "F2 Try again" in shown(app, "#chip-train")
        await pilot.press("f2")
        await until(pilot, lambda: engine.run, "another run")
        assert not [one for one in engine.asked if isinstance(one, wire.Resume)]


async def test_an_engine_that_ends_in_ready_is_started_by_f6_or_a_question(app: StudioApp, engine: FakeEngine) -> None:
    async with app.run_test(size=(120, 40)) as pilot:
        await ready(app, pilot)
        await engine.die()
        await until(pilot, lambda: "The engine is gone" in said(app))
        assert "F6 or a question starts it again" in said(app) and "F2" not in said(app)
        async with FakeEngine(engine.socket) as another:
            await type_line(pilot, "are you there")
            assert (await asked(pilot, another)).messages
            await until(pilot, lambda: "Ready" in said(app))


@pytest.mark.parametrize(
    "why",
    [
        OUT_OF_MEMORY,
        f"the engine ended; {oom.SENTENCE}",
        "the connection to the engine ended",
        "cannot write /e/x: No space left on device",
        "an unexpected error, KeyError: 'x'",
    ],
)
def test_without_a_run_none_is_spoken_of_and_f2_is_not_named(why: str) -> None:
    known = before_training(why)
    assert "F6" in known.press and "F2" not in known.press
    assert "run is" not in known.meaning and "run could" not in known.meaning and "failed" not in known.title


def test_where_nothing_can_be_lowered_no_remedy_is_promised() -> None:
    lean = {"micro_batch": 1, "seq_len": 64, "checkpoint_activations": True}
    known = trouble(OUT_OF_MEMORY, config=lean, again="goes on from step 20")
    assert "offers" not in known.press and "F2 goes on from step 20" in known.press
