"""A run that is opened brings along what it was asked for: model, corpora and settings of the next one are the same."""

import json
from pathlib import Path
from typing import Any

import pytest
from textual.widgets import Input

from loralab_core.runs.config import config_from, config_to_dict
from loralab_core.runs.directory import RunDirectory, create_run
from loralab_core.wire import messages as wire
from loralab_tui.app import Options, StudioApp
from loralab_tui.data.discover import look_at
from loralab_tui.plan import Plan, plan_of
from loralab_tui.screens.again import Remedies
from loralab_tui.screens.corpus_picker import CorpusPicker
from tests.runs.writing import write
from tests.tui.driving import shown, until
from tests.tui.fake_engine import FakeEngine

HIDDEN = {"seed": 7, "prompt_loss": True, "val": 0.1, "schedule": "linear", "clip": None, "from_adapter": "/a/pirate"}
RESOLVED = {"seq_len": 256, "micro_batch": 4, "steps": 40, "threads": 2, "base": "fp32", "device": "cpu"}


def left_run(model: Path, *corpus: Path, end: str = "done", **asked: Any) -> RunDirectory:
    """As an engine leaves it: the config names base and device, what was prepared names everything."""
    settings = {"model": str(model), "corpus": [str(one) for one in corpus], **asked}
    config = config_from({"base": "fp32", "device": "cpu", **settings})
    run = create_run(config, asked)
    run.prepare({"config": {**config_to_dict(config), **RESOLVED}})
    write(run, {"event": "prepared", "steps": 40}, {"event": end, "steps": 40, "why": "the loss was not a number"})
    return run


def attached(engine: FakeEngine, run: RunDirectory) -> StudioApp:
    return StudioApp(Options(attach=str(run.path), host="box"), open_engine=engine.open)


def chats(place: Path) -> Path:
    turns = [{"role": "user", "content": "Who?"}, {"role": "assistant", "content": "Me."}]
    place.write_text(json.dumps({"messages": turns}) + "\n")
    return place


@pytest.fixture
def second(tmp_path: Path) -> Path:
    path = tmp_path / "second.txt"
    path.write_text("Once more unto the breach.\n" * 50)
    return path


def test_what_was_left_open_is_open_again(model: Path, corpus: Path) -> None:
    assert plan_of(left_run(model, corpus).record()) == Plan()
    asked = {"rank": 4, "base": "bf16", "device": "cpu", **HIDDEN}
    assert plan_of(left_run(model, corpus, **asked).record()).asked_dict == asked


def test_what_belongs_to_one_run_stays_with_it(model: Path, corpus: Path, tmp_path: Path) -> None:
    run = left_run(model, corpus, name="first", run_dir=str(tmp_path / "there"), prompts=["Who?"])
    assert plan_of(run.record()) == Plan()


def test_an_adapter_that_is_gone_on_from_is_named() -> None:
    plan = Plan().changed(from_adapter="/adapters/pirate")
    assert "It goes on from pirate." in plan.sentence("a.txt", "")
    assert "pirate" not in plan.changed(mode="full").sentence("a.txt", "")


def test_several_corpora_are_looked_at_together(corpus: Path, second: Path) -> None:
    found = look_at(str(corpus), str(second))
    assert found.places == (str(corpus), str(second))
    assert (found.name, found.note) == ("corpus.txt and 1 more", "plain text in 2 files, 2 kB")


async def test_the_same_again_is_the_same(engine: FakeEngine, model: Path, corpus: Path, second: Path) -> None:
    run = left_run(model, corpus, second, end="failed", rank=4, prompts=["Who are you?"], **HIDDEN)
    app = attached(engine, run)
    async with app.run_test(size=(120, 40)) as pilot:
        await until(pilot, lambda: app.studio.status, "its engine")
        assert "corpus.txt and 1 more" in shown(app, "#chip-corpus")
        await pilot.press("f2")
        await until(pilot, lambda: isinstance(app.screen, Remedies) and app.screen.query("OptionList"), "asked how")
        await pilot.press("end", "enter")
        await until(pilot, lambda: engine.run, "a new run")
        sent = engine.last(wire.Train)
        assert sent.config["corpus"] == [str(corpus), str(second)]
        assert {name: sent.config[name] for name in HIDDEN} == HIDDEN
        assert (sent.config["rank"], sent.config["prompts"]) == (4, ["Who are you?"])
        assert (sent.config["seq_len"], sent.config["micro_batch"], sent.config["steps"]) == (None, None, None)
        assert sent.asked == {"rank": 4, "prompts": ["Who are you?"], **HIDDEN}


async def test_all_corpora_stand_in_the_field_and_are_kept(
    engine: FakeEngine, model: Path, corpus: Path, tmp_path: Path
) -> None:
    spaced = tmp_path / "with a space.txt"
    spaced.write_text("Once more.\n" * 50)
    app = attached(engine, left_run(model, corpus, spaced))
    async with app.run_test(size=(120, 40)) as pilot:
        await until(pilot, lambda: app.studio.status, "its engine")
        for typed, places in ((None, (corpus, spaced)), (f"{corpus} {corpus}", (corpus, corpus))):
            await pilot.press("f7")
            await until(pilot, lambda: isinstance(app.screen, CorpusPicker) and isinstance(app.focused, Input))
            field = app.screen.query_one(Input)
            assert field.value == f"{corpus} '{spaced}'"
            field.value = typed or field.value
            await pilot.press("enter")
            await until(pilot, lambda: app.screen is app.main)
            assert app.studio.corpus is not None and app.studio.corpus.places == tuple(map(str, places))


async def test_the_settings_of_a_run_are_not_taken_along_to_another_model(
    engine: FakeEngine, model: Path, corpus: Path
) -> None:
    app = attached(engine, left_run(model, corpus, lr=1e-3, steps=120))
    async with app.run_test(size=(120, 40)) as pilot:
        await until(pilot, lambda: app.studio.status, "its engine")
        await app.setup.use_model(str(model))
        assert app.studio.plan.asked_dict == {"lr": 1e-3, "steps": 120}, "chosen again, they stay"
        await app.setup.use_model("/models/larger")
        assert app.studio.plan == Plan()


async def test_a_model_without_a_template_that_learns_chats_is_talked_to_in_chat(
    engine: FakeEngine, model: Path, tmp_path: Path
) -> None:
    engine.chat_template = "plain"
    app = attached(engine, left_run(model, chats(tmp_path / "chats.jsonl")))
    async with app.run_test(size=(120, 40)) as pilot:
        await until(pilot, lambda: app.studio.status and app.studio.corpus and app.studio.corpus.note, "looked at")
        await until(pilot, lambda: app.main.chat.mode.value == "chat", "Chat")
        assert app.studio.run is not None and app.studio.corpus is not None
        assert "messages" in app.studio.corpus.note.lower() and not app._notifications


async def test_a_corpus_that_has_gone_keeps_no_run_from_being_opened(
    engine: FakeEngine, model: Path, corpus: Path
) -> None:
    run = left_run(model, corpus)
    corpus.unlink()
    app = attached(engine, run)
    async with app.run_test(size=(120, 40)) as pilot:
        await until(pilot, lambda: app.studio.run and app.studio.status, "opened")
        await until(pilot, lambda: not any(one.group == "corpus" for one in app.workers), "looked at")
        assert app.studio.corpus is not None and app.studio.corpus.note == "" and not app._notifications
