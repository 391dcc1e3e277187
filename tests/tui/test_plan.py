"""F4: what Train would do, every field checked as one types, presets, and a forecast from what was measured."""

import os
import time
from pathlib import Path

import pytest
from textual.widgets import DirectoryTree, Input, OptionList, Select

from loralab_core.errors import BadInput
from loralab_core.planning.presets import list_presets
from loralab_core.runs.config import config_from
from loralab_core.runs.directory import RunDirectory, create_run
from loralab_core.runs.events import EventLog
from loralab_core.wire import messages as wire
from loralab_tui.app import StudioApp
from loralab_tui.plan import DEFAULTS, Plan, plan_from
from loralab_tui.runs import measured as history
from tests.tui.driving import ready, shown, until
from tests.tui.fake_engine import FakeEngine


def said(app: StudioApp) -> str:
    return " ".join(str(app.screen.query_one("#said").render()).split())


async def opened(app: StudioApp, pilot) -> None:
    await ready(app, pilot)
    await pilot.press("f4")
    await until(pilot, lambda: app.screen.query("#steps"))


def fill(app: StudioApp, name: str, value: str) -> None:
    app.screen.query_one(f"#{name}", Input).value = value


@pytest.mark.parametrize(
    ("name", "text", "advice"),
    [
        ("rank", "0", "1 or more"),
        ("seq_len", "1", "2 or more"),
        ("lr", "fast", "2e-4"),
        ("epochs", "-1", "above 0"),
        ("micro_batch", "1.5", "whole number"),
    ],
)
def test_what_does_not_fit_is_said_in_one_sentence(name: str, text: str, advice: str) -> None:
    with pytest.raises(BadInput, match=advice) as caught:
        plan_from({name: text})
    assert repr(text) in str(caught.value) and "\n" not in str(caught.value)


def test_a_plan_holds_only_what_was_changed() -> None:
    plan = plan_from({"rank": "8", "lr": "5e-4", "steps": "", "mode": "adapter"})
    assert plan.asked_dict == {"lr": 5e-4}
    assert plan.changed(lr=DEFAULTS["lr"], rank=4).asked_dict == {"rank": 4}


def test_the_header_names_mode_rank_and_length() -> None:
    assert Plan().short() == "adapter · rank 8 · 1 epoch"
    assert plan_from({"mode": "full", "steps": "100"}).short() == "full · 100 steps"
    assert "all weights of the model" in plan_from({"mode": "full"}).sentence("a.txt", "")


@pytest.mark.parametrize("size", [(120, 40), (80, 24)])
async def test_a_preset_fills_the_fields_and_can_be_changed(app: StudioApp, size: tuple[int, int]) -> None:
    async with app.run_test(size=size) as pilot:
        await opened(app, pilot)
        app.screen.query_one("#preset", Select).value = "lean"
        await until(pilot, lambda: app.screen.query_one("#micro_batch", Input).value == "1")
        fill(app, "rank", "4")
        await until(pilot, lambda: "rank 4 in attention" in said(app))
        await pilot.press("enter")
        await until(pilot, lambda: app.studio.plan["rank"] == 4)
        assert app.studio.plan["checkpoint_activations"] is True
        assert app.studio.plan["warmup"] == 10
        assert "rank 4" in shown(app, "#chip-settings") or "r4" in shown(app, "#chip-settings")


@pytest.mark.parametrize("preset", [preset.name for preset in list_presets()])
async def test_every_preset_gives_exactly_its_settings(app: StudioApp, preset: str) -> None:
    async with app.run_test(size=(120, 40)) as pilot:
        await opened(app, pilot)
        app.screen.query_one("#preset", Select).value = preset
        wanted = next(one.settings for one in list_presets() if one.name == preset)
        await until(pilot, lambda: app.screen.query_one("#rank", Input).value == str(wanted["rank"]))
        await pilot.press("enter")
        await until(pilot, lambda: app.screen is app.main)
        got = app.studio.plan.config("m", "c")
        assert {name: got[name] for name in wanted} == wanted


async def test_numbers_are_kept_to_the_last_digit(app: StudioApp) -> None:
    plan = Plan().changed(lr=1.23456789e-4, alpha=10.7654321, epochs=1 / 3)
    async with app.run_test(size=(120, 40)) as pilot:
        app.studio.plan = plan
        await opened(app, pilot)
        await pilot.press("enter")
        await until(pilot, lambda: app.screen is app.main)
        assert app.studio.plan.asked_dict == plan.asked_dict


async def test_something_wrong_keeps_the_dialog_open(app: StudioApp) -> None:
    async with app.run_test(size=(80, 24)) as pilot:
        await opened(app, pilot)
        fill(app, "steps", "many")
        await until(pilot, lambda: "steps cannot be 'many'" in said(app))
        await pilot.press("enter")
        assert app.screen is not app.main
        await pilot.press("escape")
        await until(pilot, lambda: app.screen is app.main)
        assert app.studio.plan == Plan()


async def test_a_full_run_is_asked_for_with_its_mode(app: StudioApp, engine: FakeEngine) -> None:
    async with app.run_test(size=(120, 40)) as pilot:
        await opened(app, pilot)
        app.screen.query_one("#mode", Select).value = "full"
        await until(pilot, lambda: "all weights" in said(app) and app.screen.query_one("#rank", Input).disabled)
        await until(pilot, lambda: app.screen.query_one("#lr").focusable)
        app.screen.query_one("#lr").focus()
        await pilot.press("enter")
        await until(pilot, lambda: app.studio.plan.full)
        assert "full" in shown(app, "#chip-settings")
        await ready(app, pilot)
        await pilot.press("f2")
        await until(pilot, lambda: any(isinstance(one, wire.Resume) for one in engine.asked))
        begun = RunDirectory(Path(engine.last(wire.Resume).run))  # it is made first: its engine is named after it
        assert begun.record().config["mode"] == "full"


def measured_run(model: Path, corpus: Path, **settings: object) -> RunDirectory:
    """A run as it stands after some steps."""
    asked = {"model": str(model), "corpus": (str(corpus),), "seq_len": 512, "base": "fp32", **settings}
    config = config_from(asked)
    run = create_run(config, {})
    run.prepare({"config": {**asked, "corpus": [str(corpus)], "mode": config.mode, "checkpoint_activations": False}})
    log = EventLog(run.events_path)
    for step, speed in enumerate((10.0, 1000.0, 1000.0, 1000.0), 1):
        log.append({"event": "step", "step": step, "loss": 2.0, "tokens_per_s": speed})
    log.close()
    return run


def test_the_forecast_names_the_run_that_measured_it(home: Path, model: Path, corpus: Path) -> None:
    os.utime(corpus, (time.time() - 60, time.time() - 60))
    run = measured_run(model, corpus, name="first")
    plan = Plan().changed(seq_len=512, steps=100)
    known = history.measured(str(model), (str(corpus),), plan)
    assert (known.tokens_per_s, known.speed_of) == (1000.0, "first")
    assert history.forecast(plan, 512, known) == (
        "That is 410k tokens: about 7 min, at the 1,000 tokens/s of run first. It reads the corpus about 800 times."
    )
    assert run.events_path.exists()


@pytest.mark.parametrize("other", [{"mode": "full"}, {"seq_len": 64}, {"base": "bf16"}])
def test_a_speed_counts_only_for_what_it_was_measured_with(
    home: Path, model: Path, corpus: Path, other: dict[str, object]
) -> None:
    measured_run(model, corpus)
    plan = Plan().changed(**{"seq_len": 512, **other})
    known = history.measured(str(model), (str(corpus),), plan)
    assert known.tokens_per_s is None
    assert "measured after the first steps" in history.forecast(plan, 512, known)


def test_an_epoch_is_counted_by_the_run_that_read_the_corpus(home: Path, model: Path, corpus: Path) -> None:
    os.utime(corpus, (time.time() - 60, time.time() - 60))
    config = {"model": str(model), "corpus": [str(corpus)], "seq_len": 512, "mode": "adapter"}
    run = create_run(config_from({"model": str(model), "corpus": (str(corpus),)}), {})
    run.prepare({"config": config, "windows": 10, "fill": 0.5})
    known = history.measured(str(model), (str(corpus),), Plan())
    assert history.tokens_of(Plan().changed(epochs=2.0), 512, known) == 2 * 10 * 256
    corpus.write_text("changed since")
    os.utime(corpus, (time.time() + 60, time.time() + 60))
    assert history.measured(str(model), (str(corpus),), Plan()).corpus_tokens is None


# ---- what to train on


async def test_corpora_of_earlier_runs_and_the_sample_are_listed_first(
    app: StudioApp, home: Path, model: Path, corpus: Path
) -> None:
    measured_run(model, corpus, name="first")
    async with app.run_test(size=(80, 24)) as pilot:
        await ready(app, pilot)
        await pilot.press("f7")
        await until(pilot, lambda: app.screen.query("#known"))
        listed = app.screen.query_one("#known", OptionList)
        await until(pilot, lambda: listed.option_count == 2)
        rows = [str(listed.get_option_at_index(number).prompt) for number in range(2)]
        assert "corpus.txt" in rows[0] and "run first" in rows[0]
        assert "sample corpus" in rows[1]
        await pilot.press("down", "down")
        await until(pilot, lambda: "sea-captain" in app.screen.query_one(Input).value)
        await pilot.press("enter")
        await until(pilot, lambda: app.studio.corpus and "sea-captain" in app.studio.corpus.path)


async def test_what_is_typed_replaces_the_last_corpus_and_the_tree_follows(app: StudioApp, tmp_path: Path) -> None:
    (tmp_path / "own").mkdir()
    async with app.run_test(size=(80, 24)) as pilot:
        await ready(app, pilot)
        await pilot.press("f7")
        await until(pilot, lambda: isinstance(app.focused, Input) and app.focused.value)
        await pilot.press(*str(tmp_path / "own"))
        assert app.screen.query_one(Input).value == str(tmp_path / "own")
        await until(pilot, lambda: str(app.screen.query_one(DirectoryTree).path) == str(tmp_path / "own"))


@pytest.mark.parametrize("written", ["'{}'", '"{}"', "file://{}", "{}  "])
async def test_a_dropped_path_is_understood_in_the_field(app: StudioApp, corpus: Path, written: str) -> None:
    async with app.run_test(size=(80, 24)) as pilot:
        await ready(app, pilot)
        await pilot.press("f7")
        await until(pilot, lambda: isinstance(app.focused, Input))
        app.screen.query_one(Input).value = written.format(corpus)
        await until(pilot, lambda: "plain text" in str(app.screen.query_one("#said").render()))
        await pilot.press("enter")
        await until(pilot, lambda: app.screen is app.main)
        assert app.studio.corpus is not None and app.studio.corpus.path == str(corpus)
