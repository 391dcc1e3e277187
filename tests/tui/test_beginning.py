"""What the studio opens with: what was asked for, a live run, the newest run's model, or the demo."""

from pathlib import Path
from typing import Any

import pytest

from loralab_core.runs.config import TrainConfig
from loralab_core.runs.directory import RunDirectory, create_run
from loralab_core.runs.owner import claim, release
from loralab_tui.app import Options, StudioApp
from loralab_tui.beginning import Demo, beginning
from loralab_tui.data.model_names import model_name
from tests.tui.driving import asked, ready, shown, toasts, until
from tests.tui.fake_engine import FakeEngine

QUESTION = "What does the captain say?"


@pytest.fixture
def demo(tmp_path: Path) -> Demo:
    """A stand-in for the bundled one."""
    model = tmp_path / "pocket" / "model"
    model.mkdir(parents=True)
    (model / "config.json").write_text("{}")
    corpus = tmp_path / "captain.txt"
    corpus.write_text("Ahoy, the sea is calm.\n" * 20)
    return Demo(str(model), str(corpus), QUESTION, {"rank": 16, "steps": 120})


def run_of(model: Path, corpus: Path, name: str = "") -> RunDirectory:
    return create_run(TrainConfig(model=str(model), corpus=(str(corpus),), name=name))


def newcomer(engine: FakeEngine, demo: Demo, **options: Any) -> StudioApp:
    return StudioApp(Options(host="box", **options), open_engine=engine.open, demo=lambda: demo)


# ---- the decision


def test_a_newcomer_sees_the_demo(demo: Demo) -> None:
    chosen = beginning(lambda: demo)
    assert (chosen.model, chosen.corpus, chosen.question) == (demo.model, demo.corpus, QUESTION)
    assert chosen.plan["rank"] == 16 and chosen.plan.length() == "120 steps"


def test_the_newest_run_says_what_someone_works_with(demo: Demo, model: Path, corpus: Path, tmp_path: Path) -> None:
    run_of(tmp_path / "gone", corpus)
    run_of(model, corpus)
    run_of(tmp_path / "gone", corpus)
    chosen = beginning(lambda: demo)
    assert (chosen.model, chosen.corpus, chosen.question) == (str(model), str(corpus), ""), "the newest that is there"
    assert beginning(lambda: demo, demo_asked=True).model == demo.model, "--demo opens it all the same"


def test_a_corpus_that_is_gone_is_left_out(model: Path, corpus: Path) -> None:
    run_of(model, corpus)
    corpus.unlink()
    chosen = beginning(None)
    assert (chosen.model, chosen.corpus) == (str(model), "")


def test_after_a_first_demo_run_the_demo_comes_whole_again(demo: Demo) -> None:
    run_of(Path(demo.model), Path(demo.corpus))
    assert beginning(lambda: demo).question == QUESTION


def test_a_live_run_is_offered_alone(demo: Demo, model: Path, corpus: Path) -> None:
    live = run_of(model, corpus, "shakespeare")
    claim(live)
    run_of(model, corpus, "later")
    chosen = beginning(lambda: demo)
    release(live)
    assert chosen.live == ("shakespeare", str(live.path)) and not chosen.model


@pytest.mark.parametrize(
    ("reference", "name"),
    [
        ("/opt/pocket/model", "Pocket"),
        ("/models/SmolLM2-135M", "SmolLM2-135M"),
        ("/c/hub/models--HuggingFaceTB--SmolLM2-135M/snapshots/93efa2f0", "SmolLM2-135M"),
        ("HuggingFaceTB/SmolLM2-135M", "SmolLM2-135M"),
        ("owner/model", "model"),
        ("owner/name@refs/pr/3", "name@refs/pr/3"),
    ],
)
def test_a_model_is_called_what_tells_it_apart(reference: str, name: str) -> None:
    assert model_name(reference) == name


# ---- on the screen


async def test_the_demo_is_ready_with_its_question_typed_and_train_marked(engine: FakeEngine, demo: Demo) -> None:
    app = newcomer(engine, demo)
    async with app.run_test(size=(120, 40)) as pilot:
        await ready(app, pilot)
        assert app.main.chat.prompt.text == QUESTION
        assert "Pocket" in shown(app, "#chip-model") and "captain.txt" in shown(app, "#chip-corpus")
        assert not app.main.query_one("#chip-train").has_class("-idle")
        card = shown(app, "#card")
        assert "Ready" in card and "rank 16" in card and "120 steps" in card
        await pilot.press("enter")
        request = await asked(pilot, engine)
        assert QUESTION in (request.prompt or str(request.messages))


async def test_the_settings_of_the_demo_are_not_taken_along_to_another_model(
    engine: FakeEngine, demo: Demo, model: Path
) -> None:
    app = newcomer(engine, demo)
    async with app.run_test(size=(120, 40)) as pilot:
        await ready(app, pilot)
        await app.setup.use_model(demo.model)
        assert app.studio.plan["rank"] == 16, "chosen again, they stay"
        await app.setup.use_model(str(model))
        assert app.studio.plan.asked == ()


async def test_what_was_asked_for_comes_before_the_demo(
    engine: FakeEngine, demo: Demo, model: Path, corpus: Path
) -> None:
    app = newcomer(engine, demo, model=str(model), corpus=str(corpus))
    async with app.run_test(size=(120, 40)) as pilot:
        await ready(app, pilot)
        assert app.studio.model == str(model) and app.main.chat.prompt.text == ""


async def test_a_draft_begun_meanwhile_is_kept(engine: FakeEngine, demo: Demo) -> None:
    app = newcomer(engine, demo)
    async with app.run_test(size=(120, 40)) as pilot:
        app.main.chat.prompt.text = "mine"
        await ready(app, pilot)
        assert app.main.chat.prompt.text in ("mine", QUESTION)
        app.main.chat.prompt.text = "mine"
        await app.begin_unasked(True)
        assert app.main.chat.prompt.text == "mine"


async def test_f2_shows_the_run_that_trains_here(engine: FakeEngine, demo: Demo, model: Path, corpus: Path) -> None:
    live = run_of(model, corpus, "shakespeare")
    claim(live)
    app = newcomer(engine, demo)
    async with app.run_test(size=(120, 40)) as pilot:
        await until(pilot, lambda: app.studio.offers_live, "the run is offered")
        assert "shakespeare is training now" in shown(app, "#card") and "F2 shows it" in shown(app, "#card")
        assert "F2 Watch it" in shown(app, "#chip-train") and engine.asked == [], "no engine was opened for the demo"
        await pilot.press("f2")  # this process trains nothing: its engine cannot be found
        await until(pilot, lambda: app.studio.run, "the run is shown")
        assert app.studio.run is not None and Path(app.studio.run.directory) == live.path
        await until(pilot, lambda: "Trained by another program" in shown(app, "#card"))
    release(live)


async def test_a_run_that_has_ended_meanwhile_is_offered_no_more(
    engine: FakeEngine, demo: Demo, model: Path, corpus: Path
) -> None:
    live = run_of(model, corpus, "shakespeare")
    claim(live)
    app = newcomer(engine, demo)
    async with app.run_test(size=(120, 40)) as pilot:
        await until(pilot, lambda: "shakespeare is training now" in shown(app, "#card"))
        release(live)
        await until(pilot, lambda: "is training now" not in shown(app, "#card") + shown(app, "#welcome"))
        assert any("shakespeare has ended; F5 shows it" in note for note in toasts(app))
        assert "F2 Train" in shown(app, "#chip-train") and not app.studio.train_acts
