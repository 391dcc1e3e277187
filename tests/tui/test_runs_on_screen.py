"""A run's life as the screen sees it: begun, watched, lost, come back to, exported."""

import json
import os
from pathlib import Path

import pytest
from textual.widgets import DataTable, Input, OptionList

from loralab_core.runs.directory import RunDirectory
from loralab_core.wire import messages as wire
from loralab_tui.app import Options, StudioApp
from loralab_tui.runs.view import Phase
from tests.tui.driving import asked, ready, shown, toasts, training, type_line, until
from tests.tui.fake_engine import FakeEngine


async def test_choosing_by_hand_then_training(engine: FakeEngine, model: Path, corpus: Path) -> None:
    app = StudioApp(Options(host="box"), open_engine=engine.open)
    async with app.run_test(size=(120, 40)) as pilot:
        await pilot.press("f6")
        await until(pilot, lambda: isinstance(app.focused, Input))
        app.screen.query_one(Input).value = str(model.parent)
        await until(pilot, lambda: any(row.startswith("tiny") for row in _rows(app)))
        at = next(number for number, row in enumerate(_rows(app)) if row.startswith("tiny"))
        await pilot.press("down", *["down"] * at, "enter")
        await until(pilot, lambda: app.studio.status)
        await pilot.press("f7")
        await until(pilot, lambda: isinstance(app.focused, Input))
        app.screen.query_one(Input).value = str(corpus)
        await until(pilot, lambda: "plain text" in str(app.screen.query_one("#said").render()))
        await pilot.press("enter")
        await until(pilot, lambda: app.studio.corpus)
        await pilot.press("f4")
        await until(pilot, lambda: app.screen.query("#steps"))
        app.screen.query_one("#steps", Input).value = "30"
        await until(pilot, lambda: "30 steps" in str(app.screen.query_one("#said").render()))
        await pilot.press("enter")
        await until(pilot, lambda: app.studio.plan["steps"] == 30)
        await pilot.press("f2", "f2")
        await until(pilot, lambda: engine.run)
        (request,) = [one for one in engine.asked if isinstance(one, wire.Train)]
        assert (request.config["steps"], request.config["corpus"]) == (30, [str(corpus)])
        assert request.asked == {"steps": 30}


async def test_bad_input_is_said_in_the_dialog_and_nothing_is_lost(app: StudioApp, tmp_path: Path) -> None:
    binary = tmp_path / "picture.txt"
    binary.write_bytes(b"\x89PNG\0\0\0")
    async with app.run_test(size=(80, 24)) as pilot:
        await ready(app, pilot)
        before = app.studio.corpus
        await pilot.press("f7")
        await until(pilot, lambda: isinstance(app.focused, Input))
        app.screen.query_one(Input).value = str(binary)
        await pilot.press("enter")
        await until(pilot, lambda: "is not UTF-8 text" in str(app.screen.query_one("#said").render()))
        await pilot.press("escape")
        assert app.studio.corpus == before


async def test_training_without_a_model_says_what_to_press() -> None:
    app = StudioApp(Options(host="box"))
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.press("f2")
        await until(pilot, lambda: any("model (F6)" in note for note in toasts(app)))


async def test_an_engine_that_cannot_start_is_explained(model: Path) -> None:
    from loralab_core.errors import LoraLabError

    def fails(*_: object) -> Path:
        raise LoraLabError("the engine did not start: no torch (log: /x/engine.log)")

    app = StudioApp(Options(model=str(model), host="box"), open_engine=fails)
    async with app.run_test(size=(120, 40)) as pilot:
        await until(pilot, lambda: any("no torch" in note for note in toasts(app)))
        await until(pilot, lambda: "/x/engine.log" in shown(app, "#card"))


async def test_the_engine_dies_and_the_run_is_resumed(app: StudioApp, engine: FakeEngine) -> None:
    async with app.run_test(size=(120, 40)) as pilot:
        await training(app, pilot, engine, steps=20)
        engine.event(event="checkpoint", step=20)
        await type_line(pilot, "are you there")
        await asked(pilot, engine)
        run = engine.run
        await engine.die()
        await until(pilot, lambda: app.studio.run and app.studio.run.phase is Phase.LOST)
        assert "goes on from step 20" in shown(app, "#card")
        assert app.main.chat.answering is None
        async with FakeEngine(engine.socket) as another:
            await pilot.press("f2")
            await until(pilot, lambda: another.run == run)
            assert another.last(wire.Resume).run == run
            another.event(event="resumed", step=20)
            another.steps(21, 30)
            await until(pilot, lambda: app.studio.run and app.studio.run.step == 30)
            assert len(app.studio.run.curve) == 30 if app.studio.run else False


async def test_an_engine_that_ended_the_run_properly_is_not_called_a_loss(app: StudioApp, engine: FakeEngine) -> None:
    async with app.run_test(size=(120, 40)) as pilot:
        await training(app, pilot, engine)
        assert engine.run is not None
        engine.logs[engine.run].append({"event": "stopped", "why": "the engine was asked to end (SIGTERM)"})
        await engine.die()
        await until(pilot, lambda: app.studio.run and app.studio.run.phase is Phase.STOPPED)
        assert "SIGTERM" in shown(app, "#card")


async def test_coming_back_shows_the_whole_curve(
    app: StudioApp, engine: FakeEngine, model: Path, corpus: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with app.run_test(size=(120, 40)) as pilot:
        await training(app, pilot, engine, steps=500)
        await pilot.press("ctrl+q")
        await until(pilot, lambda: app.screen.id == "leave")
        await pilot.press("enter")
        await until(pilot, lambda: app.farewell)
    assert engine.run is not None
    assert f"loralab-tui --attach {Path(engine.run).name}" in app.farewell
    again = StudioApp(Options(model=str(model), host="box"), open_engine=engine.open)
    async with again.run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: again.studio.run and len(again.studio.run.curve) == 500)
        engine.steps(501, 510)
        await until(pilot, lambda: again.studio.run and again.studio.run.step == 510)
        assert again.studio.corpus is not None and again.studio.corpus.path == str(corpus)


async def test_stopping_on_the_way_out_says_how_to_go_on(app: StudioApp, engine: FakeEngine) -> None:
    async with app.run_test(size=(80, 24)) as pilot:
        await training(app, pilot, engine)
        run = Path(str(engine.run))
        await pilot.press("ctrl+q")
        await until(pilot, lambda: app.screen.id == "leave")
        await pilot.press("right", "enter")
        await until(pilot, lambda: app.farewell)
    assert "is stopped" in app.farewell and f"loralab-tui --attach {run.name}" in app.farewell


async def test_a_run_nobody_trains_is_shown_from_its_files(
    engine: FakeEngine, model: Path, corpus: Path, home: Path
) -> None:
    first = StudioApp(Options(model=str(model), corpus=str(corpus)), open_engine=engine.open)
    async with first.run_test(size=(120, 40)) as pilot:
        await training(first, pilot, engine, steps=30)
    run, engine.run = engine.run, None
    app = StudioApp(Options(host="box"), open_engine=engine.open)
    async with app.run_test(size=(120, 40)) as pilot:
        await pilot.press("f5")
        await until(pilot, lambda: app.screen.query(DataTable) and app.screen.query_one(DataTable).row_count == 1)
        await pilot.press("enter")
        await until(pilot, lambda: app.studio.run and len(app.studio.run.curve) == 30)
        await until(pilot, lambda: app.studio.run and app.studio.run.phase is Phase.LOST)
        await until(pilot, lambda: app.studio.status)
        await pilot.press("f2")
        await until(pilot, lambda: any(isinstance(one, wire.Resume) for one in engine.asked))
        assert engine.last(wire.Resume).run == run


async def test_attaching_to_what_is_no_run_is_explained(engine: FakeEngine) -> None:
    app = StudioApp(Options(attach="nothing", host="box"), open_engine=engine.open)
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: any("nothing" in note for note in toasts(app)))


async def test_exporting_copies_the_adapter_and_names_the_place(
    app: StudioApp, engine: FakeEngine, tmp_path: Path
) -> None:
    target = tmp_path / "deep" / "my-adapter"
    async with app.run_test(size=(120, 40)) as pilot:
        await training(app, pilot, engine)
        await pilot.press("f8")
        await until(pilot, lambda: any("no result yet" in note for note in toasts(app)))
        assert engine.run is not None
        _checkpoint(RunDirectory(Path(engine.run)))
        await pilot.press("f8")
        await until(pilot, lambda: isinstance(app.focused, Input))
        app.screen.query_one(Input).value = str(tmp_path)
        await pilot.press("enter")
        await until(pilot, lambda: "exists already" in str(app.screen.query_one("#said").render()))
        app.screen.query_one(Input).value = str(target)
        await pilot.press("enter")
        await until(pilot, lambda: any(str(target) in note for note in toasts(app)))
    assert json.loads((target / "adapter_config.json").read_text()) == {"r": 8}
    assert sorted(os.listdir(target)) == ["adapter_config.json", "adapter_model.safetensors"]


def _checkpoint(run: RunDirectory) -> None:
    place = run.checkpoints / "step-000010"
    place.mkdir(parents=True)
    (place / "adapter_config.json").write_text('{"r": 8}')
    (place / "adapter_model.safetensors").write_bytes(b"weights")
    (place / "optimizer.safetensors").write_bytes(b"moments")


def _rows(app: StudioApp) -> list[str]:
    listed = app.screen.query_one(OptionList)
    return [str(listed.get_option_at_index(number).prompt) for number in range(listed.option_count)]
