"""The whole job through the keyboard, against the real engine: nothing here is scripted but the typing."""

from pathlib import Path

import pytest
from textual.pilot import Pilot
from textual.widgets import Input

from loralab_core.catalog.pocket import SAMPLE_CORPUS
from loralab_core.runs.directory import list_runs
from loralab_core.runs.owner import owner
from loralab_tui.app import Options, StudioApp
from loralab_tui.runs.view import Phase
from loralab_tui.widgets.message import ChatMessage
from tests.tui.driving import shown, toasts, type_line, until

SETTINGS = {"steps": "2000", "seq_len": "64", "batch": "2", "rank": "4", "lr": "2e-3", "name": "whole job"}


@pytest.mark.slow
async def test_the_whole_job(home: Path, tmp_path: Path) -> None:
    exported = tmp_path / "adapter"
    app = StudioApp(Options(host="box"))
    async with app.run_test(size=(120, 40)) as pilot:
        await _choose(app, pilot, "f6", "pocket")
        await _choose(app, pilot, "f7", str(SAMPLE_CORPUS))
        await until(pilot, lambda: app.studio.status and app.studio.corpus, "model and corpus")
        await _settle(app, pilot)
        await pilot.press("f2")
        await until(pilot, lambda: app.studio.run and len(app.studio.run.curve) >= 3, "a curve")
        await pilot.press("f3", "f3")
        await type_line(pilot, "Once upon a time")
        await until(pilot, lambda: _answers(app, "base") and _answers(app, "lora"), "both answered")
        assert _answers(app, "lora")[0].step, "the answer names the step it came from"
        await until(pilot, lambda: app.studio.run and app.studio.run.checkpoint, "a checkpoint")
        await _export(app, pilot, exported)
        await pilot.press("ctrl+q")
        await until(pilot, lambda: app.screen.id == "leave")
        await pilot.press("enter")
        await until(pilot, lambda: app.farewell)
    ((run, _),) = list_runs()
    assert owner(run) is not None, "training goes on without the screen"
    assert (exported / "adapter_model.safetensors").stat().st_size > 0

    again = StudioApp(Options(attach="last", host="box"))
    async with again.run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: again.studio.run and again.studio.run.phase is Phase.TRAINING, "attached")
        assert again.studio.run is not None
        assert list(again.studio.run.curve.steps)[:3] == [1, 2, 3]
        assert _answers(again, "base") and _answers(again, "lora"), "what was said is there again"
        await pilot.press("f9")
        await until(pilot, lambda: again.focused and again.focused.id == "go_on")
        await pilot.press("right", "enter")
        await until(pilot, lambda: again.studio.run and again.studio.run.phase is Phase.STOPPED, "stopped")
        assert "F2 resumes" in shown(again, "#card")


async def _choose(app: StudioApp, pilot: Pilot[None], key: str, path: str) -> None:
    await pilot.press(key)
    await until(pilot, lambda: isinstance(app.focused, Input))
    app.screen.query_one(Input).value = path
    await pilot.press("enter")
    await until(pilot, lambda: app.screen is app.main)


async def _settle(app: StudioApp, pilot: Pilot[None]) -> None:
    await pilot.press("f4")
    await until(pilot, lambda: app.screen.query("#steps"))
    for name, text in SETTINGS.items():
        app.screen.query_one(f"#{name}", Input).value = text
    await pilot.press("enter")
    await until(pilot, lambda: app.studio.plan["steps"] == 2000)


async def _export(app: StudioApp, pilot: Pilot[None], target: Path) -> None:
    await pilot.press("f8")
    await until(pilot, lambda: isinstance(app.focused, Input))
    app.screen.query_one(Input).value = str(target)
    await pilot.press("enter")
    await until(pilot, lambda: any(str(target) in note for note in toasts(app)), "exported")


def _answers(app: StudioApp, speaker: str) -> list[ChatMessage]:
    messages = app.main.chat.query(ChatMessage)
    return [one for one in messages if one.speaker == speaker and one.text and not one.streaming]
