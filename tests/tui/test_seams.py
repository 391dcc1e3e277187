"""Where pieces meet: an engine changed while it answers, a run on the screen and a plan for the next, damaged files."""

import json
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from loralab_core.errors import BadInput
from loralab_core.wire import messages as wire
from loralab_tui.app import Options, StudioApp
from loralab_tui.plan import Plan, plan_from
from loralab_tui.runs.view import Phase
from loralab_tui.screens.runs import RunsScreen
from tests.runs.writing import write
from tests.tui.driving import asked, ready, shown, toasts, training, type_line, until
from tests.tui.fake_engine import FakeEngine
from tests.tui.made_runs import made_run


class Opened:
    """The precisions and runs that engines were asked for."""

    def __init__(self, engine: FakeEngine) -> None:
        self.engine = engine
        self.bases: list[str] = []
        self.runs: list[str] = []

    def __call__(self, model: str, base: str, device: str, progress: object, run: str = "") -> Path:
        self.bases.append(base)
        self.runs.append(run)
        return self.engine.socket


@pytest.fixture
def opened(engine: FakeEngine) -> Opened:
    return Opened(engine)


@pytest.fixture
def app(opened: Opened, model: Path, corpus: Path) -> StudioApp:
    return StudioApp(Options(model=str(model), corpus=str(corpus), host="box"), open_engine=opened)


async def done(app: StudioApp, pilot, engine: FakeEngine) -> None:
    engine.event(event="done", run=engine.run, adapter=None, model=None, steps=20, tokens=1, seconds=1.0)
    engine.run = None
    await until(pilot, lambda: app.studio.run and app.studio.run.phase is Phase.DONE)


# ---- an engine that is left


async def test_an_answer_that_another_precision_cut_off_holds_up_no_later_question(
    app: StudioApp, engine: FakeEngine
) -> None:
    async with app.run_test(size=(120, 40)) as pilot:
        await ready(app, pilot)
        await type_line(pilot, "hello")
        await asked(pilot, engine)
        await app.setup.use_plan(Plan().changed(base="bf16"))
        await until(pilot, lambda: app.main.chat.answering is None)
        await type_line(pilot, "again")
        await asked(pilot, engine, 2)


async def test_another_model_while_one_answers_is_no_trouble(app: StudioApp, engine: FakeEngine, model: Path) -> None:
    async with app.run_test(size=(120, 40)) as pilot:
        await ready(app, pilot)
        await type_line(pilot, "hello")
        await asked(pilot, engine)
        await app.setup.use_model(str(model))
        await pilot.pause()
        assert toasts(app) == [] and app.main.chat.answering is None
        assert not [one for one in engine.asked if isinstance(one, wire.Cancel)]


async def test_a_run_that_opens_its_engine_is_told_what_that_decided(app: StudioApp, engine: FakeEngine) -> None:
    async with app.run_test(size=(120, 40)) as pilot:
        await ready(app, pilot)
        await app.link.close()
        app.studio.status = None
        await app.runs.train_key()
        assert engine.last(wire.Train).config["base"] == "fp32"


async def test_an_engine_that_the_disk_keeps_from_starting_is_trouble_not_waiting(model: Path, corpus: Path) -> None:
    def refused(model: str, base: str, device: str, progress: Callable[[int, int, str], None], run: str = "") -> Path:
        progress(1, 2, "reading")
        raise PermissionError(13, "Permission denied")

    app = StudioApp(Options(model=str(model), corpus=str(corpus), host="box"), open_engine=refused)
    async with app.run_test(size=(120, 40)) as pilot:
        await until(pilot, lambda: app.studio.trouble)
        await pilot.pause()
        assert app.studio.trouble == "cannot start the engine: Permission denied" and not app.studio.opening


async def test_f9_gives_up_a_download(model: Path, corpus: Path) -> None:
    def downloads(model: str, base: str, device: str, progress: Callable[[int, int, str], None], run: str = "") -> Path:
        while True:
            progress(62_000_000, 100_000_000, "downloading")
            time.sleep(0.01)

    app = StudioApp(Options(model=str(model), corpus=str(corpus), host="box"), open_engine=downloads)
    async with app.run_test(size=(120, 40)) as pilot:
        await until(pilot, lambda: "F9 cancels" in shown(app, "#card"))
        await pilot.press("f9")
        await until(pilot, lambda: "F6 opens it or chooses another" in shown(app, "#card"))
        assert toasts(app) == [] and not app.studio.opening


async def test_chat_or_continue_as_a_person_chose_it_outlasts_another_precision_not_another_model(
    app: StudioApp, engine: FakeEngine, model: Path
) -> None:
    async with app.run_test(size=(120, 40)) as pilot:
        await ready(app, pilot)
        await pilot.press("f12")
        assert app.main.chat.mode.value == "continue"
        app.main.chat.heading.fit_mode("chat")
        assert app.main.chat.mode.value == "continue"
        await app.setup.use_model(str(model))
        await until(pilot, lambda: app.main.chat.mode.value == "chat")


async def test_a_question_to_an_ended_run_starts_its_engine_again(
    app: StudioApp, engine: FakeEngine, opened: Opened
) -> None:
    async with app.run_test(size=(120, 40)) as pilot:
        await training(app, pilot, engine)
        run = engine.run
        await done(app, pilot, engine)
        await engine.die()
        await until(pilot, lambda: any("the next question starts the engine again" in note for note in toasts(app)))
        async with FakeEngine(engine.socket) as another:
            await type_line(pilot, "are you there")
            assert (await asked(pilot, another)).run == run == opened.runs[-1]
            assert app.studio.run is not None and app.studio.run.directory == run


async def test_a_question_to_an_engine_that_cannot_start_fails_with_its_reason(
    app: StudioApp, engine: FakeEngine
) -> None:
    async with app.run_test(size=(120, 40)) as pilot:
        await training(app, pilot, engine)
        await done(app, pilot, engine)
        await engine.die()
        await until(pilot, lambda: not app.link.connected)
        await type_line(pilot, "are you there")
        await until(pilot, lambda: app.main.chat.answering is None)
        (reply,) = app.main.chat.conversation.rounds[-1].replies
        assert reply.failed and app.studio.trouble and app.studio.trouble in reply.note + reply.text


# ---- a run on the screen and a plan for the next


async def test_a_new_run_gets_the_precision_of_the_plan_not_of_the_run_before(
    app: StudioApp, engine: FakeEngine, opened: Opened
) -> None:
    async with app.run_test(size=(120, 40)) as pilot:
        await training(app, pilot, engine)
        await done(app, pilot, engine)
        await app.setup.use_plan(Plan().changed(base="bf16"))
        assert opened.bases == ["auto"], "the run on the screen keeps its engine"
        await app.runs.train_key()
        assert opened.bases == ["auto", "bf16"] and opened.runs[-1] == ""


async def test_an_adapter_on_another_corpus_after_all_weights_leaves_their_engine(
    app: StudioApp, engine: FakeEngine, opened: Opened, corpus: Path
) -> None:
    async with app.run_test(size=(120, 40)) as pilot:
        await ready(app, pilot)
        app.studio.plan = plan_from({"mode": "full", "steps": "30"})
        await pilot.press("f2")
        await until(pilot, lambda: engine.run)
        await done(app, pilot, engine)
        await app.setup.look_at_corpus(str(corpus))
        app.studio.plan = plan_from({"steps": "30"})
        await app.runs.train_key()
        assert opened.runs[0] == "" and opened.runs[1] and opened.runs[2:] == [""]


async def test_the_name_of_an_old_run_is_not_given_to_the_next(app: StudioApp, home: Path) -> None:
    run = made_run(5, name="poem", rank=16)
    async with app.run_test(size=(120, 40)) as pilot:
        await ready(app, pilot)
        await app.runs.open_run(str(run.path))
        assert app.studio.run and app.studio.run.name == "poem"
        assert app.studio.plan["rank"] == 16 and app.studio.plan["name"] is None


async def test_a_forecast_is_not_said_of_another_model(app: StudioApp) -> None:
    async with app.run_test(size=(120, 40)) as pilot:
        await ready(app, pilot)
        await until(pilot, lambda: "measured after the first steps" in shown(app, "#card"))
        app.studio.forecast = "That is 3 tokens."
        await app.setup.use_model("owner/another")
        await until(pilot, lambda: "Ready" in shown(app, "#card"))
        assert "That is 3 tokens." not in shown(app, "#card")


# ---- damaged files


async def test_events_that_lack_what_they_should_say_are_left_out(app: StudioApp, home: Path) -> None:
    run = made_run(5, end=None)
    write(run, {"event": "step"}, {"event": "eval"}, {"event": "checkpoint"}, {"event": "sample", "step": "x"})
    async with app.run_test(size=(120, 40)) as pilot:
        await ready(app, pilot)
        await app.runs.open_run(str(run.path))
        assert app.studio.run and app.studio.run.step == 5


async def test_a_run_that_names_no_model_is_refused_in_a_sentence(app: StudioApp, home: Path) -> None:
    run = made_run(5)
    told = json.loads(run.record_path.read_text())
    run.record_path.write_text(json.dumps({**told, "config": {}}))
    async with app.run_test(size=(120, 40)) as pilot:
        await ready(app, pilot)
        with pytest.raises(BadInput, match="names no model"):
            await app.runs.open_run(str(run.path))
        await pilot.press("f5")
        await until(pilot, lambda: isinstance(app.screen, RunsScreen) and app.screen.readings)
