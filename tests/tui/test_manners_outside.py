"""What comes from outside and what goes there: dropped paths, ^c, the end of a run."""

from pathlib import Path

import pytest
from textual import events
from textual.widgets import Input

from loralab_core.wire import messages as wire
from loralab_tui.app import Options, StudioApp
from loralab_tui.runs.view import RunView
from loralab_tui.terminal import on_done
from tests.tui.driving import asked, ready, seen, toasts, training, type_line, until
from tests.tui.fake_engine import FakeEngine

SSH = "203.0.113.9 50022 198.51.100.4 22"


def paste(app: StudioApp, text: str) -> None:
    """As the terminal's driver hands it on."""
    app.post_message(events.Paste(text))


# ---- what is dropped on the window


async def test_a_dropped_file_becomes_the_corpus(app: StudioApp, tmp_path: Path) -> None:
    other = tmp_path / "other text.txt"
    other.write_text("All the world's a stage.\n" * 20)
    async with app.run_test(size=(120, 40)) as pilot:
        await ready(app, pilot)
        before = app.studio.corpus.path if app.studio.corpus else ""
        paste(app, f"'{other}' ")
        await until(pilot, lambda: app.studio.corpus and app.studio.corpus.path == str(other))
        await until(pilot, lambda: toasts(app))
        assert before in toasts(app)[-1] and "F7" in toasts(app)[-1], "how to go back is said"
        assert not app.main.chat.prompt.text


async def test_a_corpus_dropped_during_a_run_changes_nothing(app: StudioApp, engine: FakeEngine, corpus: Path) -> None:
    other = corpus.with_name("other.txt")
    other.write_text("x\n" * 100)
    async with app.run_test(size=(120, 40)) as pilot:
        await training(app, pilot, engine)
        paste(app, str(other))
        await until(pilot, lambda: any("cannot change" in note for note in toasts(app)))
        assert app.studio.corpus and app.studio.corpus.path == str(corpus)


async def test_a_dropped_adapter_is_the_lora_one_talks_to(app: StudioApp, engine: FakeEngine, tmp_path: Path) -> None:
    adapter = tmp_path / "pirate"
    adapter.mkdir()
    (adapter / "adapter_config.json").write_text("{}")
    async with app.run_test(size=(120, 40)) as pilot:
        await ready(app, pilot)
        paste(app, adapter.as_uri())
        await until(pilot, lambda: "● LoRA pirate" in seen(app))
        await type_line(pilot, "hello")
        assert (await asked(pilot, engine)).speaker == str(adapter)
        await app.run_action("adapter")
        await until(pilot, lambda: isinstance(app.focused, Input))
        app.screen.query_one(Input).value = ""
        await pilot.press("enter")
        await until(pilot, lambda: app.studio.adapter is None and "LoRA pirate" not in seen(app))


async def test_a_dropped_model_is_opened(app: StudioApp, model: Path) -> None:
    other = model.with_name("other")
    model.rename(other)
    async with app.run_test(size=(120, 40)) as pilot:
        paste(app, str(other))
        await until(pilot, lambda: app.studio.model == str(other))


@pytest.mark.parametrize("text", ["/nowhere/at/all.txt", "what is in /etc/hosts?", "/train"])
async def test_other_text_is_pasted(app: StudioApp, text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SSH_CONNECTION", raising=False)
    async with app.run_test(size=(120, 40)) as pilot:
        await ready(app, pilot)
        paste(app, text)
        await until(pilot, lambda: app.main.chat.prompt.text == text)


async def test_a_path_of_the_other_machine_gets_its_scp_line(app: StudioApp, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSH_CONNECTION", SSH)
    async with app.run_test(size=(120, 40)) as pilot:
        await ready(app, pilot)
        paste(app, "/Users/ada/corpus.txt")
        await until(pilot, lambda: any("scp -r /Users/ada/corpus.txt" in note for note in toasts(app)))
        assert app.clipboard.startswith("scp -r /Users/ada/corpus.txt") and "198.51.100.4" in app.clipboard
        assert not app.main.chat.prompt.text


# ---- ^c, and the end of a run


async def test_ctrl_c_says_how_to_quit_and_ends_nothing(app: StudioApp, engine: FakeEngine) -> None:
    async with app.run_test(size=(120, 40)) as pilot:
        await training(app, pilot, engine)
        await pilot.press("ctrl+c")
        await until(pilot, lambda: any("^q quits; training goes on" in note for note in toasts(app)))
        assert app.is_running and app.studio.live
        engine.frozen = True
        await type_line(pilot, "hello")
        await asked(pilot, engine)
        await pilot.press("ctrl+c")
        await until(pilot, lambda: any(isinstance(request, wire.Cancel) for request in engine.asked))
        assert app.studio.live


async def test_ctrl_c_copies_what_is_selected(app: StudioApp) -> None:
    async with app.run_test(size=(120, 40)) as pilot:
        await ready(app, pilot)
        await pilot.press(*"draft", "shift+home", "ctrl+c")
        await until(pilot, lambda: app.clipboard == "draft")
        assert not any("quits" in note for note in toasts(app))


async def test_what_shall_happen_when_a_run_ends_happens(app: StudioApp, engine: FakeEngine, tmp_path: Path) -> None:
    said = tmp_path / "said"
    app.on_done_command = f'echo "$LORALAB_STATE $LORALAB_STEP $LORALAB_RUN" > {said}'
    async with app.run_test(size=(120, 40)) as pilot:
        await training(app, pilot, engine)
        run = engine.run
        engine.event(event="done", run=run, adapter="/a", steps=20, tokens=1, seconds=1.0)
        await until(pilot, lambda: said.exists() and said.read_text().strip())
    assert said.read_text().split() == ["done", "20", run]


async def test_a_command_that_fails_is_told(app: StudioApp, engine: FakeEngine) -> None:
    app.on_done_command = "echo no such pager >&2; exit 3"
    async with app.run_test(size=(120, 40)) as pilot:
        await training(app, pilot, engine)
        engine.event(event="failed", why="the loss was not a number", steps=20)
        await until(pilot, lambda: any("3: no such pager" in note for note in toasts(app)))


def test_a_run_without_a_step_can_be_told_of() -> None:
    told = on_done.environment(RunView("/runs/x"))
    assert told["LORALAB_RUN"] == "/runs/x" and told["LORALAB_LOSS"] == "" and told["LORALAB_STATE"] == "preparing"


def test_options_carry_the_command() -> None:
    assert StudioApp(Options(on_done="true")).on_done_command == "true"
