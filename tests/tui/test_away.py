"""Away and back: what happened meanwhile, told from the events alone and the place one had come to."""

from pathlib import Path
from typing import Any

import pytest

from loralab_core.runs.directory import RunDirectory
from loralab_core.wire import messages as wire
from loralab_tui.app import Options, StudioApp
from loralab_tui.runs.away import Away, look_back, span
from loralab_tui.runs.seen import Seen, last_seen, remember, seen_path
from loralab_tui.runs.view import Phase
from tests.runs.writing import write
from tests.tui.driving import asked, shown, training, type_line, until
from tests.tui.fake_engine import FakeEngine
from tests.tui.made_runs import made_run, made_steps

HOUR_12 = 72 * 60.0


def steps(first: int, last: int, losses: tuple[float, float] = (2.81, 2.44)) -> list[dict[str, Any]]:
    """`losses`: of all steps but the last, and of the last."""
    return [
        {"event": "step", "step": step, "loss": losses[step == last], "tokens": step} for step in range(first, last + 1)
    ]


def evaluated(step: int, loss: float) -> dict[str, Any]:
    return {"event": "eval", "step": step, "loss": loss}


def back(seen: int, *events: dict[str, Any], pieces: int = 1) -> Away | None:
    """Back after 1 h 12 min, having seen the first `seen` events."""
    dated = [{"seq": number, "time": float(number), **event} for number, event in enumerate(events, 1)]
    size = max(1, -(-len(dated) // pieces))
    parts = [dated[start : start + size] for start in range(0, len(dated), size)]
    return look_back(parts, Seen(seen, 1000.0), 1000.0 + HOUR_12)


@pytest.mark.parametrize("pieces", [1, 7])
def test_it_went_on(pieces: int) -> None:
    events = [*steps(1, 340, (5.0, 2.81)), *steps(341, 620), evaluated(600, 2.52)]
    away = back(340, *events, pieces=pieces)
    assert away is not None and away.title == "While you were away (1 h 12 min)"
    assert away.text == "Steps 340 → 620, loss 2.81 → 2.44, best validation 2.52 at step 600."


def test_it_was_recovered_after_the_engine_was_gone() -> None:
    away = back(340, *steps(1, 512), {"event": "resumed", "step": 500}, *steps(501, 620))
    assert away is not None and away.before[0] == 340 and away.after[0] == 620
    assert away.happened == ["Recovered from step 500 after the engine was gone; 12 steps had to be done again."]


def test_what_was_seen_and_is_void_now_is_told_as_it_is() -> None:
    away = back(340, *steps(1, 340), {"event": "resumed", "step": 300})
    assert away is not None and (away.before[0], away.after[0]) == (340, 300)
    assert "Recovered from step 300" in away.text and "40 steps" in away.text


def test_a_run_that_was_stopped_and_resumed_lost_nothing() -> None:
    away = back(
        10, *steps(1, 10), {"event": "stopped", "why": "asked"}, {"event": "resumed", "step": 10}, *steps(11, 12)
    )
    assert away is not None and away.happened == ["Resumed from step 10 after it had ended."] and not away.ended


@pytest.mark.parametrize(
    ("event", "said"),
    [
        ({"event": "done"}, "It is done."),
        ({"event": "stopped", "why": "stopped by the user"}, "It was stopped: stopped by the user."),
        ({"event": "failed", "why": "the disk is full."}, "It failed: the disk is full."),
    ],
)
def test_how_it_ended(event: dict[str, Any], said: str) -> None:
    away = back(5, *steps(1, 8), event)
    assert away is not None and away.ended == said


def test_gaps_and_changes_are_not_passed_over() -> None:
    gap = {"event": "step", "step": 9, "loss": None}
    change = {"event": "changed", "at_step": 8, "lr": 1e-4, "steps": 900}
    away = back(5, *steps(1, 8), change, gap, *steps(10, 10))
    assert away is not None
    assert away.happened == [
        "Changed at step 8: 900 steps in all, learning rate 1e-4.",
        "The loss of 1 step was not a number.",
    ]


def test_nothing_new_is_no_news() -> None:
    assert back(8, *steps(1, 8)) is None
    assert back(8, *steps(1, 8), {"event": "warning", "sentence": "the disk is getting full"}) is None
    assert back(0) is None


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(8, "8 s"), (120, "2 min"), (3600, "1 h"), (HOUR_12, "1 h 12 min"), (86400, "1 day"), (183600, "2 days 3 h")],
)
def test_how_long_in_two_units(seconds: float, said: str) -> None:
    assert span(seconds) == said


def test_the_place_is_kept_per_run_and_a_damaged_file_is_no_place() -> None:
    assert last_seen("/a") is None
    remember("/a", 5, 10.0)
    remember("/b", 7, 11.0)
    assert (last_seen("/a"), last_seen("/b")) == (Seen(5, 10.0), Seen(7, 11.0))
    seen_path().write_bytes(b"{ torn")
    assert last_seen("/a") is None
    remember("/c", 1, 12.0)
    assert last_seen("/c") == Seen(1, 12.0)


def test_a_home_that_cannot_be_written_costs_nothing_but_the_card(home: Path) -> None:
    (home / "ui").write_text("in the way")
    remember("/a", 5)
    assert last_seen("/a") is None


async def test_leaving_and_coming_back_to_a_run_that_went_on(
    app: StudioApp, engine: FakeEngine, model: Path, corpus: Path
) -> None:
    async with app.run_test(size=(120, 40)) as pilot:
        await training(app, pilot, engine, steps=40)
        await pilot.press("ctrl+q")
        await until(pilot, lambda: app.screen.id == "leave")
        await pilot.press("enter")
        await until(pilot, lambda: app.farewell)
    assert engine.run is not None
    run = RunDirectory(Path(engine.run))
    seen = last_seen(engine.run)
    assert seen is not None and seen.seq == engine.logs[engine.run].seq
    write_through(engine, run)
    again = StudioApp(Options(model=str(model), host="box"), open_engine=engine.open)
    async with again.run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: again.studio.run and again.studio.run.step == 60)
        await pilot.press("ctrl+t")
        await until(pilot, lambda: "While you were away" in shown(again, "#card"))
        assert "Steps 40 → 60" in shown(again, "#card") and "at step 60" in shown(again, "#card")
        await pilot.press("f1")
        await pilot.press("escape")
        assert again.studio.away is not None
        await pilot.press("escape")
        await until(pilot, lambda: again.studio.away is None)
        assert again.studio.run is not None and again.studio.run.phase is Phase.TRAINING


def write_through(engine: FakeEngine, run: RunDirectory) -> None:
    """What the engine does while no screen is there."""
    log = engine.logs[str(run.path)]
    for event in [*made_steps(41, 60), evaluated(60, 2.6)]:
        log.append(event)


async def test_a_run_that_ended_meanwhile_says_what_there_is_to_press(engine: FakeEngine) -> None:
    run = made_run(30, None, total=60)
    remember(str(run.path), 12)
    write(run, *made_steps(31, 50), {"event": "stopped", "why": "the engine was asked to end (SIGTERM)"})
    app = StudioApp(Options(attach=str(run.path), host="box"), open_engine=engine.open)
    async with app.run_test(size=(120, 40)) as pilot:
        await until(pilot, lambda: "While you were away" in shown(app, "#card"))
        card = shown(app, "#card")
        assert "Steps 11 → 50" in card and "SIGTERM" in card and "F2 resumes" in card
        await pilot.press("f2")
        await until(pilot, lambda: any(isinstance(one, wire.Resume) for one in engine.asked))
        assert app.studio.away is None


async def test_a_click_closes_the_card(engine: FakeEngine) -> None:
    run = made_run(30)
    remember(str(run.path), 12)
    app = StudioApp(Options(attach=str(run.path), host="box"), open_engine=engine.open)
    async with app.run_test(size=(120, 40)) as pilot:
        await until(pilot, lambda: "While you were away" in shown(app, "#card"))
        await pilot.click("#card")
        await until(pilot, lambda: "While you were away" not in shown(app, "#card"))
        assert "Done: 30 steps" in shown(app, "#card")


async def test_asking_something_closes_the_card(engine: FakeEngine) -> None:
    run = made_run(30)
    remember(str(run.path), 12)
    app = StudioApp(Options(attach=str(run.path), host="box"), open_engine=engine.open)
    async with app.run_test(size=(120, 40)) as pilot:
        await until(pilot, lambda: app.studio.away and app.studio.status)
        await type_line(pilot, "who are you")
        await asked(pilot, engine)
        await until(pilot, lambda: app.studio.away is None)


async def test_a_run_never_seen_and_one_that_stayed_on_screen_have_no_card(engine: FakeEngine) -> None:
    run = made_run(30)
    app = StudioApp(Options(attach=str(run.path), host="box"), open_engine=engine.open)
    async with app.run_test(size=(120, 40)) as pilot:
        await until(pilot, lambda: app.studio.run and app.studio.run.phase is Phase.DONE)
        assert app.studio.away is None
        write(run, {"event": "resumed", "step": 30}, *made_steps(31, 40), {"event": "done"})
        await app.runs.open_run(str(run.path))
        assert app.studio.run is not None and app.studio.run.step == 40 and app.studio.away is None
    assert last_seen(str(run.path)) is not None
