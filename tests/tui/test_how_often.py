"""How often a plan reads the corpus: counted, estimated, said before Train; steps stay with the corpus they suit."""

import shutil
from pathlib import Path

import pytest

from loralab_core.catalog.pocket import POCKET, SAMPLE_CORPUS
from loralab_core.runs.config import config_from
from loralab_core.runs.directory import create_run
from loralab_core.text.dataset import prepare
from loralab_core.text.formats import open_rows
from loralab_core.text.tokenizer import Tokenizer
from loralab_core.wire import messages as wire
from loralab_tui import words
from loralab_tui.app import Options, StudioApp
from loralab_tui.beginning import Demo
from loralab_tui.data.amount import TEXT, beginning, bytes_per_token, estimated_tokens
from loralab_tui.plan import Plan
from loralab_tui.runs.measured import Measured, forecast
from loralab_tui.studio import Corpus
from tests.tui.driving import ready, shown, until
from tests.tui.fake_engine import FakeEngine

CALLS = b'{"messages": [{"role": "assistant", "content": "x", "tool_calls": 7}]}\n'
DEMO = {"rank": 16, "steps": 120, "batch": 8, "seq_len": 256}


@pytest.mark.parametrize(
    ("settings", "tokens", "steps", "times"),
    [
        ({"steps": 120}, 256 * 960, 120, 1.0),
        ({"steps": 120}, 256 * 96, 120, 10.0),
        ({"steps": 120}, 100, 120, 960.0),  # one window that is not full
        ({}, 256 * 80, 10, 1.0),
        ({"epochs": 3.0}, 256 * 80, 30, 3.0),
        ({}, 256, 1, 8.0),  # a step takes eight windows, and there is one
    ],
)
def test_a_step_takes_whole_windows_also_of_a_corpus_that_has_fewer(
    settings: dict[str, object], tokens: int, steps: int, times: float
) -> None:
    assert Plan().changed(batch=8, **settings).passes(tokens, 256) == (steps, times)


@pytest.mark.parametrize(("number", "said"), [(1.9, "2"), (13.7, "14"), (99.6, "100"), (137, "140"), (12345, "12,000")])
def test_nobody_is_told_more_digits_than_are_known(number: float, said: str) -> None:
    assert words.times(number) == said


def test_it_is_said_where_it_is_more_often_than_one_would_expect() -> None:
    plan = Plan(tuple(DEMO.items()))
    assert forecast(plan, 256, Measured(corpus_tokens=18_000)) == (
        "That is 246k tokens; the time is measured after the first steps. It reads the corpus about 14 times."
    )
    assert "about 14 times" in forecast(plan, 256, Measured(estimated_tokens=18_000))
    assert "reads" not in forecast(plan, 256, Measured(estimated_tokens=200_000))
    assert "reads" not in forecast(plan, 256, Measured())
    assert "reads" not in forecast(Plan().changed(epochs=3.0), 256, Measured(corpus_tokens=200_000)), "as was asked"


def test_an_estimate_is_near_what_is_counted(tmp_path: Path) -> None:
    """Nearer where the tokenizer is small enough to be asked; of a large one only the vocabulary is known."""
    counted = prepare([SAMPLE_CORPUS], Tokenizer.load(POCKET), seq_len=256, val=0.0, cache=tmp_path).tokens
    estimate = estimated_tokens((str(SAMPLE_CORPUS),), str(POCKET))
    assert estimate is not None and abs(estimate - counted) < 0.1 * counted
    (tmp_path / "large").mkdir()
    shutil.copy(POCKET / "config.json", tmp_path / "large")
    by_vocabulary = estimated_tokens((str(SAMPLE_CORPUS),), str(tmp_path / "large"))
    assert by_vocabulary is not None and counted / 1.6 < by_vocabulary < counted * 1.6
    assert bytes_per_token(512) < bytes_per_token(32_000) < bytes_per_token(128_000) < 5


@pytest.mark.parametrize("content", [None, b"", b'{"left": 1}\n', CALLS])
def test_what_cannot_be_read_is_not_estimated(tmp_path: Path, content: bytes | None) -> None:
    corpus = tmp_path / "a.jsonl"
    if content is not None:
        corpus.write_bytes(content)
    assert estimated_tokens((str(corpus),), str(POCKET)) is None


def test_only_the_beginning_of_a_file_is_looked_at(tmp_path: Path) -> None:
    corpus = tmp_path / "a.jsonl"
    corpus.write_text('{"text": "%s"}\n' % ("To be. " * 5000) * 100)
    rows = list(beginning(open_rows(corpus)[1]))
    assert len(rows) == 2 and rows[-1].end >= TEXT


async def test_the_demos_steps_are_not_recorded_as_asked_for(newcomer: StudioApp, engine: FakeEngine) -> None:
    async with newcomer.run_test(size=(120, 40)) as pilot:
        await ready(newcomer, pilot)
        await pilot.press("f2")
        await until(pilot, lambda: engine.run)
        sent = engine.last(wire.Train)
        assert sent.config["steps"] == 120 and "steps" not in sent.asked and sent.asked["rank"] == 16


async def test_the_ready_card_says_how_often_a_small_corpus_is_read(app: StudioApp) -> None:
    async with app.run_test(size=(120, 40)) as pilot:
        await ready(app, pilot)
        await until(pilot, lambda: "One step reads the corpus about 8 times" in " ".join(shown(app, "#card").split()))


# ---- the steps of one corpus are not taken along to another


@pytest.fixture
def newcomer(engine: FakeEngine, model: Path, corpus: Path) -> StudioApp:
    demo = Demo(str(model), str(corpus), "Who are you?", DEMO)
    return StudioApp(Options(host="box"), open_engine=engine.open, demo=lambda: demo)


async def test_the_demos_steps_are_left_behind_with_its_corpus(newcomer: StudioApp, corpus: Path) -> None:
    app = newcomer
    async with app.run_test(size=(120, 40)) as pilot:
        await ready(app, pilot)
        app.setup.use_corpus(Corpus(str(corpus)))
        assert app.studio.plan["steps"] == 120, "chosen again, they stay"
        app.setup.use_corpus(Corpus("/somewhere/own.txt", "plain text"))
        await pilot.pause()
        assert app.studio.plan["rank"] == 16 and app.studio.plan.length() == "1 epoch"
        assert "for 1 epoch" in " ".join(shown(app, "#card").split())


async def test_steps_that_were_chosen_stay(newcomer: StudioApp) -> None:
    app = newcomer
    async with app.run_test(size=(120, 40)) as pilot:
        await ready(app, pilot)
        await app.setup.use_plan(app.studio.plan.changed(steps=300))
        app.setup.use_corpus(Corpus("/somewhere/own.txt", "plain text"))
        assert app.studio.plan["steps"] == 300


@pytest.mark.parametrize(("asked", "kept"), [({}, None), ({"steps": 40}, 40)])
async def test_a_runs_steps_go_along_only_where_they_were_asked_for(
    app: StudioApp, model: Path, corpus: Path, asked: dict[str, object], kept: int | None
) -> None:
    settings = {"model": str(model), "corpus": [str(corpus)]}
    run = create_run(config_from({**settings, "steps": 40}), asked)
    async with app.run_test(size=(120, 40)) as pilot:
        await ready(app, pilot)
        await app.runs.open_run(str(run.path))
        assert app.studio.plan["steps"] == 40
        app.setup.use_corpus(Corpus("/somewhere/own.txt", "plain text"))
        assert app.studio.plan["steps"] == kept
