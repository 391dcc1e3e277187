"""The same prompts at every checkpoint: which are asked, how they are kept, how one walks through them."""

import json
from pathlib import Path
from typing import Any

from textual.widgets import Input

from loralab_core.catalog import pocket
from loralab_core.wire import messages as wire
from loralab_tui.app import StudioApp
from loralab_tui.chat.prompts import prompts_for
from loralab_tui.chat.samples import samples_line
from loralab_tui.runs.view import RunView
from loralab_tui.screens.samples import PromptsDialog, Samples
from loralab_tui.widgets.message import ChatMessage
from tests.tui.driving import ready, training, until
from tests.tui.fake_engine import FakeEngine


def sample(step: int, index: int, text: str) -> dict[str, Any]:
    return {"event": "sample", "step": step, "index": index, "prompt": f"prompt {index}", "text": text}


def answers(app: StudioApp) -> list[tuple[str, str]]:
    return [(message.title, message.text) for message in app.screen.query(ChatMessage)]


def test_a_resumed_run_voids_what_was_said_later() -> None:
    view = RunView("/runs/a")
    for event in (sample(0, 0, "hello"), sample(10, 0, "arr"), sample(20, 0, "aye"), {"event": "resumed", "step": 10}):
        view.apply(event)
    assert view.samples.steps == [10]
    assert (view.samples.said(0, 0), view.samples.said(20, 0)) == ("hello", None)
    assert str(samples_line(view.samples)) == "LoRA @10  prompt 0 → arr"
    view.apply(sample(20, 0, "aye\n\x1b[2J"))
    assert str(samples_line(view.samples)) == "LoRA @20  prompt 0 → aye [2J"


async def test_one_walks_through_the_steps_with_the_base_beside(app: StudioApp, engine: FakeEngine) -> None:
    async with app.run_test(size=(120, 40)) as pilot:
        await training(app, pilot, engine)
        for step in (0, 10, 20):
            for index in range(3):
                engine.event(**sample(step, index, f"{step}/{index}"))
        await until(pilot, lambda: app.studio.run and len(app.studio.run.samples.steps) == 2)
        await pilot.press("ctrl+s")
        await until(pilot, lambda: len(answers(app)) == 6)
        assert answers(app)[:2] == [("base", "0/0"), ("LoRA @20", "20/0")]
        await pilot.press("left")
        await until(pilot, lambda: answers(app)[4:] == [("base", "0/2"), ("LoRA @10", "10/2")])
        await pilot.press("left", "right")
        engine.event(**sample(30, 0, "30/0"))
        await until(pilot, lambda: answers(app)[1] == ("LoRA @30", "30/0"), "the newest step is followed")
        assert "not answered yet" in str(app.screen.query(ChatMessage).last().render())
        await pilot.press("escape")
        assert app.screen is app.main


async def test_train_asks_prompts_that_fit_the_corpus_or_the_users_own(app: StudioApp, engine: FakeEngine) -> None:
    async with app.run_test(size=(80, 24)) as pilot:
        await ready(app, pilot)
        await pilot.press("ctrl+s")
        await until(pilot, lambda: isinstance(app.screen, Samples) and app.screen.next_prompts)
        await pilot.press("enter")
        await until(pilot, lambda: isinstance(app.screen, PromptsDialog))
        app.screen.query(Input).first().value = "My own?"
        await pilot.press("enter")
        await until(pilot, lambda: isinstance(app.screen, Samples) and app.studio.prompts)
        await pilot.press("escape", "f2")
        await until(pilot, lambda: engine.run)
        assert engine.last(wire.Train).config["prompts"] == ["My own?"]


def test_prompts_come_from_all_over_the_beginning_of_the_corpus(tmp_path: Path) -> None:
    chats = tmp_path / "chats.jsonl"
    rows = [[{"role": "user", "content": f"question {n}"}, {"role": "assistant", "content": "a"}] for n in range(9)]
    chats.write_text("".join(json.dumps({"messages": turns}) + "\n" for turns in rows))
    assert prompts_for("m", str(chats)) == ("question 0", "question 4", "question 8")
    text = tmp_path / "story.txt"
    text.write_text("\n\n".join(f"Chapter {n} tells of a man who went out to sea." for n in range(5)))
    assert prompts_for("m", str(text))[::2] == (
        "Chapter 0 tells of a man who went",
        "Chapter 4 tells of a man who went",
    )


def test_a_corpus_that_cannot_be_read_leaves_the_run_without_prompts(tmp_path: Path) -> None:
    assert prompts_for("m", str(tmp_path / "nowhere.txt")) == ()
    (tmp_path / "torn.jsonl").write_text('{"messages": [{"role": ')
    assert prompts_for("m", str(tmp_path / "torn.jsonl")) == ()


def test_pocket_and_the_captain_have_their_own(tmp_path: Path) -> None:
    assert prompts_for(str(pocket.POCKET), str(pocket.SAMPLE_CORPUS)) == pocket.PROMPTS
    own = tmp_path / "robot.jsonl"
    own.write_text('{"prompt": "What is 1 plus one?", "completion": "BEEP. 2."}\n')
    assert prompts_for(str(pocket.POCKET), str(own)) == ("What is 1 plus one?",)
